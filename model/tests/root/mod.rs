//! An `ML_ROOT` with generated data, and what `train` makes of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use model::generate::Synthetic;
use model::sales::{Sale, write_csv};
use tempfile::TempDir;

/// Where `train` finds its input below a fresh `ML_ROOT`: two years of five stores and ten items,
/// the last 60 days of them in the validation channel.
pub(crate) fn ml_root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let rows = Synthetic::default().rows();
    let last = rows.iter().map(|sale| sale.day).max().unwrap();
    let (train, validation): (Vec<Sale>, Vec<Sale>) =
        rows.iter().partition(|sale| sale.day <= last.minus(60));
    let half = train.len() / 2;
    write_rows(root.path(), "train/part-1.csv", &train[..half]);
    write_rows(root.path(), "train/part-2.csv", &train[half..]);
    write_rows(root.path(), "validation/sales.csv", &validation);
    write(
        root.path(),
        "input/config/hyperparameters.json",
        r#"{"n_estimators": "200", "random_state": "42"}"#,
    );
    root
}

fn write_rows(root: &Path, name: &str, rows: &[Sale]) {
    let mut text = Vec::new();
    write_csv(rows, &mut text).unwrap();
    write(
        root,
        &format!("input/data/{name}"),
        std::str::from_utf8(&text).unwrap(),
    );
}

pub(crate) fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(crate) fn train(root: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_train"))
        .arg("train")
        .env("ML_ROOT", root)
        .output()
        .unwrap()
}

pub(crate) fn trained() -> TempDir {
    let root = ml_root();
    let output = train(root.path());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    root
}
