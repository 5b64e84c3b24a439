//! Each stage live: a spinner with elapsed time on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Where the demonstration prints.
pub(crate) struct Screen {
    terminal: bool,
    /// Of what happens behind the scenes nothing is shown.
    quiet: bool,
}

/// A stage that is under way.
pub(crate) struct Stage {
    name: String,
    began: Instant,
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            quiet: false,
        }
    }

    /// One that shows nothing.
    pub(crate) fn quiet() -> Self {
        Self {
            terminal: false,
            quiet: true,
        }
    }

    /// A line of its own.
    pub(crate) fn line(&self, text: &str) {
        if !self.quiet {
            println!("{text}");
        }
    }

    /// The start of a scene.
    pub(crate) fn scene(&self, number: usize, title: &str) {
        self.line(&format!("\nScene {number}  {title}"));
    }

    /// The start of a stage.
    pub(crate) fn stage(&self, name: &str) -> Stage {
        let bar = self.terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg:<24} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Stage {
            name: name.to_owned(),
            began: Instant::now(),
            bar,
            quiet: self.quiet,
        }
    }
}

impl Stage {
    /// The stage ended as it should.
    pub(crate) fn done(self, seen: &str) {
        self.end("✓", seen);
    }

    /// It didn't.
    pub(crate) fn failed(self, seen: &str) {
        self.end("✗", seen);
    }

    fn end(self, mark: &str, seen: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.quiet {
            return;
        }
        println!(
            "  {mark} {:<24} {:>5.1} s  {seen}",
            self.name,
            self.began.elapsed().as_secs_f64()
        );
    }
}
