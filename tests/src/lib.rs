//! The pipeline in memory: the functions behind their own patterns, on a world that can be crashed.

mod agree;
pub mod checks;
mod compare;
mod disorder;
mod pipeline;
mod routes;
pub mod scene;
mod settings;
mod story;
mod together;
mod told;

pub use agree::{agree, hold, never_lost};
pub use compare::normal;
pub use disorder::Disorder;
pub use pipeline::Pipeline;
pub use routes::Routes;
pub use story::{Story, What};
pub use told::STORIES;

/// Prints a line of figures. The test harness keeps what a passing test prints by `println!`; this
/// isn't kept, so that `make test` says how much was tried.
pub fn report(line: &str) {
    use std::io::Write as _;

    // A closed output is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    #[test]
    fn what_a_passing_test_reports_is_seen() {
        const INNER: &str = "REPORTS_ONLY";
        if env::var_os(INNER).is_some() {
            report("3 of 4 tried");
            return;
        }
        let this = ["--exact", "tests::what_a_passing_test_reports_is_seen"];
        let mut passing = Command::new(env::current_exe().unwrap());
        let passed = passing.args(this).env(INNER, "1").output().unwrap();
        let seen = String::from_utf8(passed.stdout).unwrap();
        assert!(
            seen.contains("3 of 4 tried") && seen.contains("1 passed"),
            "{seen}"
        );
    }
}
