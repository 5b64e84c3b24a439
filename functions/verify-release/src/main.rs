//! Wiring of `verify-release`: settings, clients, the handler.

use aws::{
    CloudWatch, Context, EventBridge, HttpApi, Kubernetes, S3, SageMaker, Sqs, SystemClock,
    Workload,
};
use domain::settings::Settings;
use verify_release::{Config, NAME, Ports, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> runtime::Exit {
    run()
        .await
        .map_err(|error| runtime::failed_to_start(NAME, &error))?
}

async fn run() -> domain::Result<runtime::Exit> {
    let settings = Settings::new(std::env::vars());
    let config = Config::read(&settings)?;
    let context = Context::new(&settings)?;
    let queue = Sqs::new(
        &context,
        settings.text("QUEUE_URL")?,
        settings.text("DLQ_URL")?,
    );
    let store = S3::new(&context);
    let sagemaker = SageMaker::new(&context);
    let cluster = Kubernetes::new(
        &context,
        Workload {
            cluster: settings.text("CLUSTER_NAME")?,
            namespace: settings.text("NAMESPACE")?,
            deployment: settings.text("DEPLOYMENT")?,
            container: settings.text("CONTAINER")?,
        },
    );
    let api = HttpApi::new(&settings.text("SERVICE_URL")?)?;
    let alarms = CloudWatch::new(&context);
    let bus = EventBridge::new(&context, settings.text("EVENT_BUS")?);
    let ports = Ports {
        store: &store,
        endpoints: &sagemaker,
        cluster: &cluster,
        api: &api,
        alarms: &alarms,
        bus: &bus,
        clock: &SystemClock,
    };
    Ok(runtime::run(NAME, &settings, &queue, async |received| {
        handle(&config, &ports, received).await
    })
    .await)
}
