//! Wiring of `register-model`: settings, clients, the handler.

use aws::{Context, EventBridge, S3, SageMaker, Sqs};
use domain::settings::Settings;
use register_model::{Config, NAME, handle};

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
    Ok(runtime::run(NAME, &settings, &queue, async |received| {
        handle(&config, &store, &sagemaker, &bus, received).await
    })
    .await)
}
