//! Wiring of `notify`: settings, clients, the handler.

use aws::{Context, S3, Sns, Sqs, SystemClock};
use domain::{Step, settings::Settings};
use notify::{Config, NAME, decide::Decision, handle};

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
    let topic = Sns::new(&context, settings.text("ALERTS_TOPIC_ARN")?);
    Ok(runtime::run(NAME, &settings, &queue, async |received| {
        let step = handle(&config, &store, &topic, &SystemClock, received).await?;
        // Once for each fact, as people are told it.
        if let Step::Done(Decision::Tell { kpi: Some(kpi), .. }) = &step {
            runtime::metrics(&kpi.embedded(&config.environment));
        }
        Ok(step)
    })
    .await)
}
