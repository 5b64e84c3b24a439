//! `serve`: the inference container's command.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use model::serve::publisher::Publisher;
use model::serve::settings::Settings;
use model::serve::source::load;
use model::serve::{Service, router};
use model::train::Layout;

/// How long open requests may take once the service stops.
const LAST_REQUESTS: Duration = Duration::from_secs(20);
/// How long the last publication of metrics may take.
const LAST_METRICS: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    model::process::log_to_stderr();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("runtime")
        .and_then(|runtime| runtime.block_on(serve()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(reason = format!("{error:#}"), "serving failed");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<()> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let (s3, metrics) = model::serve::outside::connect(&settings).await?;
    let folder = Layout::new(model::process::ml_root()).model();
    let loaded = load(&folder, &settings, s3.as_ref()).await?;
    info!(
        digest = loaded.digest,
        release = settings.release,
        series = loaded.model.series(),
        history_end = %loaded.model.history_end(),
        "model loaded"
    );
    let service = Arc::new(Service::new(
        loaded.model,
        loaded.digest,
        settings.release.clone(),
    ));
    let listener = TcpListener::bind(("0.0.0.0", settings.port))
        .await
        .with_context(|| format!("port {}", settings.port))?;
    info!(address = %listener.local_addr()?, "listening");

    let publisher = Publisher::new(&settings, Arc::clone(&service), metrics);
    let periods = tokio::spawn(publisher.clone().run(settings.metrics_period));
    serve_until_stopped(listener, Arc::clone(&service), settings.drain).await?;
    periods.abort();
    if timeout(LAST_METRICS, publisher.publish()).await.is_err() {
        warn!("the last metrics were not published in time");
    }
    info!("stopped");
    Ok(())
}

/// Serves until a signal to stop, then says that it isn't ready, takes requests for `drain` more or
/// until a second signal, and ends with the last answer.
async fn serve_until_stopped(
    listener: TcpListener,
    service: Arc<Service>,
    drain: Duration,
) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (closing, closed) = tokio::sync::oneshot::channel();
    let app = router(Arc::clone(&service));
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
        service.leave();
        tokio::select! {
            () = sleep(drain) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Nobody waits for it only if serving has ended already.
        let _ = closing.send(());
    };
    let limit = async move {
        match closed.await {
            Ok(()) => sleep(LAST_REQUESTS).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = axum::serve(listener, app).with_graceful_shutdown(stop) => ended?,
        () = limit => warn!("stopped with requests open"),
    }
    Ok(())
}
