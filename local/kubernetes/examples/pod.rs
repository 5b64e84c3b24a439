//! A program for the pods of the tests: answers HTTP on `SERVE_PORT`.
//!
//! - `/health`: 200, or what the file named by `HEALTH_FILE` says.
//! - `/environment`: the process's environment as JSON.
//! - `/slow`: answers after half a second.
//! - anything else: the pod's `HOSTNAME` and `RELEASE`.

use std::{collections::BTreeMap, env, time::Duration};

use axum::{Json, Router, http::StatusCode, routing::get};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let port: u16 = variable("SERVE_PORT").parse()?;
    println!("release {} on port {port}", variable("RELEASE"));
    let health = async || {
        let status = env::var("HEALTH_FILE")
            .ok()
            .and_then(|file| std::fs::read_to_string(file).ok())
            .and_then(|text| text.trim().parse::<u16>().ok())
            .and_then(|status| StatusCode::from_u16(status).ok());
        status.unwrap_or(StatusCode::OK)
    };
    let me = format!("{} {}", variable("HOSTNAME"), variable("RELEASE"));
    let slow = async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        "slow"
    };
    let router = Router::new()
        .route("/health", get(health))
        .route("/slow", get(slow))
        .route(
            "/environment",
            get(async || Json(env::vars().collect::<BTreeMap<_, _>>())),
        )
        .fallback(async || me);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}
