//! `train`: the training container's command.

use std::process::ExitCode;

use model::train::{Layout, caught, report_failure, run};

fn main() -> ExitCode {
    model::process::log_to_stderr();
    let layout = Layout::new(model::process::ml_root());
    match caught(|| run(&layout)) {
        Ok(score) => {
            if let Some(score) = score {
                // One metric a line, as SageMaker's metric definitions (regular expressions) read them.
                println!("validation:accuracy={:.6}", score.accuracy);
                println!("validation:rmse={:.6}", score.rmse);
                println!("validation:mae={:.6}", score.mae);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            let reason = format!("{error:#}");
            tracing::error!(reason, "training failed");
            if let Err(error) = report_failure(&layout.failure(), &reason) {
                tracing::error!(%error, "the failure file could not be written");
            }
            ExitCode::FAILURE
        }
    }
}
