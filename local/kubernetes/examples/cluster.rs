//! A cluster to try `kubectl` on: `cargo run -p local-kubernetes --example cluster -- STATE_DIR [STS_URL]`
//!
//! Writes `STATE_DIR/kubeconfig`. Every image runs the `pod` example, but for those whose reference
//! holds `broken` (they end at once) or `missing` (there is none). With `STS_URL`, EKS tokens of
//! the role `deployer` are let in as the group `deployers`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use local_kubernetes::{AccessEntry, Config, StsTokens, start};
use local_wire::{Authorize, BoxFuture, Caller, ImageSpec, Images, Refused};

const REGION: &str = "ap-southeast-1";
const ACCOUNT: &str = "000000000000";
const CLUSTER: &str = "retail-mlops-dev";

struct Anybody;

impl Authorize for Anybody {
    fn check<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async { Ok(()) })
    }
}

struct AnyImage {
    program: PathBuf,
}

impl Images for AnyImage {
    fn resolve<'a>(
        &'a self,
        reference: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageSpec>, String>> {
        let program = if reference.contains("broken") {
            Some(PathBuf::from("/bin/false"))
        } else if reference.contains("missing") {
            None
        } else {
            Some(self.program.clone())
        };
        Box::pin(async move {
            Ok(program.map(|program| ImageSpec {
                train: None,
                serve: Some(program),
                environment: BTreeMap::new(),
            }))
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let state_dir = PathBuf::from(arguments.next().context("no STATE_DIR")?);
    let sts = arguments.next().unwrap_or_default();
    let program = std::env::current_exe()?
        .parent()
        .map(|folder| folder.join("pod"))
        .filter(|program| Path::exists(program))
        .context("the example `pod` isn't built: cargo build --examples")?;
    let deployer = AccessEntry {
        username: Some("retail-forecast-deployer".to_owned()),
        groups: vec!["deployers".to_owned()],
    };
    let running = start(Config {
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
        cluster_name: CLUSTER.to_owned(),
        state_dir: state_dir.clone(),
        api_port: 0,
        eks_port: 0,
        service_ports: BTreeMap::new(),
        admin_token: "admin".to_owned(),
        images: Arc::new(AnyImage { program }),
        authorize: Arc::new(Anybody),
        tokens: Arc::new(StsTokens::new(&sts, REGION, CLUSTER)),
        access_entries: BTreeMap::from([(
            format!("arn:aws:iam::{ACCOUNT}:role/deployer"),
            deployer,
        )]),
        pod_environment: BTreeMap::new(),
        service_account_environment: BTreeMap::new(),
        restart_back_off: Duration::from_secs(10),
    })
    .await?;
    let kubeconfig = state_dir.join("kubeconfig");
    tokio::fs::write(&kubeconfig, running.kubeconfig()).await?;
    tokio::fs::write(state_dir.join("ca.pem"), &running.ca_pem).await?;
    println!("{}\n{}", running.api_url, running.eks_url);
    println!("kubectl --kubeconfig {} get pods", kubeconfig.display());
    // Until it is killed; the next run ends the pods that are left.
    std::future::pending().await
}
