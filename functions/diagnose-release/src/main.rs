//! Wiring of `diagnose-release`: settings, clients, the handler.

use aws::{Context, EventBridge, S3, SageMaker, Sqs, SystemClock};
use diagnose_release::{Config, NAME, Ports, handle};
use domain::settings::Settings;

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
    let bus = EventBridge::new(&context, settings.text("EVENT_BUS")?);
    let ports = Ports {
        store: &store,
        sagemaker: &sagemaker,
        bus: &bus,
        clock: &SystemClock,
    };
    Ok(runtime::run(NAME, &settings, &queue, async |received| {
        handle(&config, &ports, received).await
    })
    .await)
}
