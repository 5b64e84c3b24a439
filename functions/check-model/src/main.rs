//! The Lambda function: settings from the environment, clients, and the loop.

use aws::{Context, EventBridge, S3, SageMaker, Sqs};
use check_model::{Config, NAME, Ports, handle};
use domain::{Result, settings::Settings};

struct Wiring {
    config: Config,
    store: S3,
    transforms: SageMaker,
    bus: EventBridge,
    queue: Sqs,
}

fn wire() -> Result<Wiring> {
    let settings = Settings::new(std::env::vars());
    let context = Context::new(&settings)?;
    Ok(Wiring {
        config: Config::read(&settings)?,
        store: S3::new(&context),
        transforms: SageMaker::new(&context),
        bus: EventBridge::new(&context, settings.text("EVENT_BUS")?),
        queue: Sqs::new(
            &context,
            settings.text("QUEUE_URL")?,
            settings.text("DLQ_URL")?,
        ),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> runtime::Exit {
    let wiring = wire().map_err(|error| runtime::failed_to_start(NAME, &error))?;
    let ports = Ports {
        store: &wiring.store,
        transforms: &wiring.transforms,
        bus: &wiring.bus,
    };
    runtime::run(NAME, &wiring.queue, async |received| {
        handle(&wiring.config, &ports, received).await
    })
    .await
}
