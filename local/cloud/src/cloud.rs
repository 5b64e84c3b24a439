//! A whole cloud: started, deployed, stopped.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use local_kubernetes::RealCluster;
use local_wire::Wire;
use tokio::sync::{Mutex, mpsc};

use crate::{
    deploy::{self, Roles},
    drive::Alert,
    emulator::{self, Emulator},
    held::{self, Denied, Holding},
    identity::Identity,
    names::Place,
    plan::{FunctionPlan, plan},
    refusal::refusals,
    router::Router,
    services::{Reserved, Services, Surroundings},
    settings::Settings,
    state,
};

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
    /// Variables set otherwise than in `infra/functions.json`, by function.
    pub overrides: BTreeMap<String, BTreeMap<String, String>>,
    /// A cluster that is run by others, in the place of our own.
    pub cluster: Option<RealCluster>,
    /// Told of each call that a role is denied, which waits for what becomes of it. `None`: it is denied.
    pub denials: Option<mpsc::UnboundedSender<Denied>>,
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
            overrides: BTreeMap::new(),
            cluster: None,
            denials: None,
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
    /// CloudWatch.
    pub cloudwatch: String,
    /// EKS.
    pub eks: String,
    /// The forecasting API, once deployed.
    pub service: String,
    /// Where functions call what is held when it is denied; `None` where nothing is.
    pub gateway: Option<String>,
}

/// A running cloud with all functions deployed. Dropping it ends all it started.
pub struct Cloud {
    pub(crate) around: Surroundings,
    pub(crate) functions: BTreeMap<String, FunctionPlan>,
    pub(crate) inbox: Mutex<Vec<Alert>>,
    pub(crate) services: Services,
    addresses: Addresses,
    // After the services, so that they are gone before what they stand on; then its state is free.
    _emulator: Emulator,
    _lock: File,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud")
            .field("place", self.place())
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Cloud {
    /// Starts the emulator and the stand-ins, then deploys what the project's files say.
    ///
    /// # Errors
    ///
    /// The emulator doesn't start; a file can't be used; another cloud uses the folder; AWS would refuse what the files say; a
    /// function isn't built.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let place = Place {
            environment: options.environment.clone(),
            region: options.region.clone(),
            account: options.account.clone(),
        };
        let mut settings = Settings::read(&options.project_root)?;
        settings.set_environment(&options.environment)?;
        settings.set(&options.overrides)?;
        let program = emulator::program(&options.project_root);
        let state_dir = &options.state_dir;
        let state_dir = fs::create_dir_all(state_dir).and_then(|()| fs::canonicalize(state_dir));
        let state_dir = state_dir.with_context(|| options.state_dir.display().to_string())?;
        let lock = state::alone(&state_dir)?;
        let mut clock = Clock(Instant::now());
        let emulator = Emulator::start(&program, &place, &state_dir).await?;
        clock.lap("emulator");
        let wire = emulator.wire().clone();
        let holding = Holding(options.denials);
        let reserved = Reserved::take(wire.endpoint(), holding.0.is_some()).await?;
        let addresses = reserved.addresses.clone();
        let real = options.cluster;
        let namespace = match &real {
            Some(real) => real.namespace.clone(),
            None => place.namespace(),
        };
        let names = place.names(&addresses.service);
        let names = names.with([("namespace", namespace.clone())]);
        let endpoints = addresses.for_functions();
        let roles = Roles {
            sagemaker: settings.role("sagemaker", &names)?,
            api: settings.role("api", &names)?,
            pipeline: settings.role("pipeline", &names)?,
        };
        let plans = plan(&settings, &place, wire.endpoint(), &names, &endpoints)?;
        refuse(&plans)?;

        let deployed: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
        let around = Surroundings {
            identity: Arc::new(Identity::new(
                wire.clone(),
                place.clone(),
                &deployed,
                holding.clone(),
            )),
            router: Arc::new(Router::new(wire.clone())),
            place,
            namespace,
            wire,
            holding,
        };
        deploy::foundation(&around.wire, &around.place, &roles).await?;
        clock.lap("foundation");
        let stand_ins = async {
            let pods = around
                .identity
                .assume_role(&around.place.api_role())
                .await?;
            let mut services =
                Services::start(&around, reserved, &plans, pods, &state_dir, real).await?;
            let folder = options.project_root.join("infra/k8s/base");
            let applied = services.apply(&folder, &around.namespace).await;
            anyhow::Ok((services, applied))
        };
        let functions = try_join_all(plans.iter().map(|plan| async {
            let binary = options.bin_dir.join(&plan.key);
            let deployed = deploy::function(&around.wire, &around.place, plan, &binary).await;
            deployed.with_context(|| format!("deploying {}", plan.key))
        }));
        let (stand_ins, functions) = tokio::join!(stand_ins, functions);
        let (services, applied) = stand_ins?;
        if let Err(error) = applied.and(functions) {
            // What is in a cluster that isn't ours doesn't go with this process.
            services.stop().await;
            return Err(error);
        }
        clock.lap("functions and stand-ins");
        Ok(Self {
            around,
            functions: plans
                .into_iter()
                .map(|plan| (plan.key.clone(), plan))
                .collect(),
            inbox: Mutex::default(),
            services,
            addresses,
            _emulator: emulator,
            _lock: lock,
        })
    }

    /// Where the services are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Lines that a shell can take over, `export NAME=value`: after them the AWS CLI and SDKs speak to this cloud.
    pub fn exports(&self) -> Vec<String> {
        let addresses = &self.addresses;
        let place = self.place();
        [
            ("AWS_ENDPOINT_URL", addresses.aws.as_str()),
            ("AWS_ENDPOINT_URL_SAGEMAKER", &addresses.sagemaker),
            ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", &addresses.sagemaker),
            ("AWS_ENDPOINT_URL_ECR", &addresses.ecr),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", &addresses.cloudwatch),
            ("AWS_ENDPOINT_URL_EKS", &addresses.eks),
            ("AWS_REGION", &place.region),
            ("AWS_DEFAULT_REGION", &place.region),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("SERVICE_URL", &addresses.service),
            ("DATA_BUCKET", &place.data_bucket()),
            ("ARTIFACTS_BUCKET", &place.artifacts_bucket()),
        ]
        .map(|(name, value)| format!("export {name}={value}"))
        .to_vec()
    }

    /// Names and ARNs of this cloud.
    pub fn place(&self) -> &Place {
        &self.around.place
    }

    /// Kubernetes namespace of the forecasting API.
    pub fn namespace(&self) -> &str {
        &self.around.namespace
    }

    /// Calls to the emulator as its root user; `at` another address for the stand-ins.
    pub fn wire(&self) -> &Wire {
        &self.around.wire
    }

    /// The cloud's IAM, to act as a role.
    pub fn identity(&self) -> &Identity {
        &self.around.identity
    }

    /// Ends everything the cloud started and waits until it is gone.
    pub async fn stop(self) {
        self.services.stop().await;
    }
}

impl Addresses {
    /// What leads the functions to the stand-ins; for all else they have the emulator's address.
    fn for_functions(&self) -> BTreeMap<String, String> {
        let stand_ins = [
            ("SAGEMAKER", &self.sagemaker),
            ("SAGEMAKER_RUNTIME", &self.sagemaker),
            ("ECR", &self.ecr),
            ("CLOUDWATCH", &self.cloudwatch),
            ("EKS", &self.eks),
        ];
        let held = self
            .gateway
            .iter()
            .flat_map(|gateway| held::SERVICES.map(|service| (service, gateway)));
        stand_ins
            .into_iter()
            .chain(held)
            .map(|(service, address)| (format!("AWS_ENDPOINT_URL_{service}"), address.clone()))
            .collect()
    }
}

fn refuse(plans: &[FunctionPlan]) -> anyhow::Result<()> {
    let refusals = refusals(plans);
    if refusals.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = refusals.iter().map(ToString::to_string).collect();
    bail!("AWS would refuse:\n{}", lines.join("\n"))
}

/// Says how long the parts of the start took.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self, part: &str) {
        tracing::debug!(part, elapsed_ms = self.0.elapsed().as_millis(), "started");
        self.0 = Instant::now();
    }
}
