//! The forecasting API with a defect, for the demonstration: it passes every check, and after
//! `SOUND_ANSWERS` answers (150) of the path `DEFECT` (`/predict`) it answers 500 there, each time or just
//! each `FAILS_EACH`-th time (1).

use std::{
    num::NonZeroU32,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use model::{
    serve::{Service, outside, publisher::Publisher, router, settings::Settings, source::load},
    train::Layout,
};
use tokio::net::TcpListener;

/// More than a verification asks for; the variable of this name says otherwise.
const SOUND_ANSWERS: u32 = 150;

/// A variable of this program's own.
fn own<T: FromStr>(name: &str, default: T) -> anyhow::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match std::env::var(name) {
        Ok(value) => value.parse().with_context(|| name.to_owned()),
        Err(_) => Ok(default),
    }
}

struct Defect {
    service: Arc<Service>,
    path: String,
    sound_answers: u32,
    fails_each: NonZeroU32,
    answers: AtomicU32,
}

impl Defect {
    /// Whether the next answer of the path fails.
    fn fails(&self) -> bool {
        let before = self.answers.fetch_add(1, Ordering::Relaxed);
        let unsound = (before + 1).saturating_sub(self.sound_answers);
        unsound > 0 && unsound % self.fails_each == 0
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    model::process::log_to_stderr();
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let (s3, metrics) = outside::connect(&settings).await?;
    let folder = Layout::new(model::process::ml_root()).model();
    let loaded = load(&folder, &settings, s3.as_ref()).await?;
    let service = Arc::new(Service::new(
        loaded.model,
        loaded.digest,
        settings.release.clone(),
    ));
    let publisher = Publisher::new(&settings, Arc::clone(&service), metrics);
    tokio::spawn(publisher.run(settings.metrics_period));
    let defect = Arc::new(Defect {
        service: Arc::clone(&service),
        path: own("DEFECT", "/predict".to_owned())?,
        sound_answers: own("SOUND_ANSWERS", SOUND_ANSWERS)?,
        fails_each: own("FAILS_EACH", NonZeroU32::MIN)?,
        answers: AtomicU32::new(0),
    });
    let app = router(service).layer(from_fn_with_state(defect, fail));
    let listener = TcpListener::bind(("0.0.0.0", settings.port))
        .await
        .with_context(|| format!("port {}", settings.port))?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn fail(State(defect): State<Arc<Defect>>, request: Request, next: Next) -> Response {
    if request.uri().path() == defect.path && defect.fails() {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        defect.service.recorder.record(status, Duration::ZERO);
        return (status, "the defect of the demonstration").into_response();
    }
    next.run(request).await
}
