//! Probes: is a container up, is it ready, is it alive.

use std::{net::Ipv4Addr, time::Duration};

use serde_json::Value;
use tokio::net::TcpStream;

use crate::json::{items, number, text};

/// How often a port that doesn't answer yet is tried.
const KNOCK: Duration = Duration::from_millis(10);

/// What a probe asks.
#[derive(Debug, Clone, PartialEq)]
enum Question {
    /// GET of this path with these headers; any answer from 200 to 399 will do.
    Http(String, Vec<(String, String)>),
    /// A connection.
    Tcp,
}

/// A probe of a container. Every port of a container is its one local port here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Probe {
    question: Question,
    initial_delay: Duration,
    period: Duration,
    timeout: Duration,
    success_threshold: i64,
    failure_threshold: i64,
}

/// The answers so far.
#[derive(Debug, Default)]
struct Streak {
    answer: bool,
    length: i64,
}

impl Probe {
    /// Reads `container.{field}`; `Ok(None)` when it isn't there, an error for a kind of probe that
    /// can't be asked here.
    pub(super) fn of(container: &Value, field: &str) -> Result<Option<Self>, String> {
        let Some(probe) = container.get(field) else {
            return Ok(None);
        };
        let question = if let Some(get) = probe.get("httpGet") {
            let headers = items(get, "/httpHeaders").iter().map(|header| {
                let part = |pointer| text(header, pointer).to_owned();
                (part("/name"), part("/value"))
            });
            let path = text(get, "/path").trim_start_matches('/');
            Question::Http(format!("/{path}"), headers.collect())
        } else if probe.get("tcpSocket").is_some() {
            Question::Tcp
        } else {
            return Err(format!(
                "{field}: only httpGet and tcpSocket are supported here"
            ));
        };
        let seconds = |pointer| Duration::from_secs(number(probe, pointer).unsigned_abs());
        Ok(Some(Self {
            question,
            initial_delay: seconds("/initialDelaySeconds"),
            period: seconds("/periodSeconds").max(Duration::from_secs(1)),
            timeout: seconds("/timeoutSeconds").max(Duration::from_secs(1)),
            success_threshold: number(probe, "/successThreshold").max(1),
            failure_threshold: number(probe, "/failureThreshold").max(1),
        }))
    }

    /// Asks for as long as the future is polled. `decided` hears each time that enough answers of
    /// one kind came in a row; it ends the probe by returning `false`.
    ///
    /// The first question is put as soon as the port answers at all, one period after the start at
    /// the latest: a program that starts quickly needn't wait for the second period.
    pub(super) async fn watch(
        &self,
        http: &reqwest::Client,
        port: u16,
        mut decided: impl FnMut(bool) -> bool,
    ) {
        tokio::time::sleep(self.initial_delay).await;
        // Whether it answered or time ran out, the question is put now.
        let _ = tokio::time::timeout(self.period, opened(port)).await;
        let mut streak = Streak::default();
        loop {
            let answer = self.ask(http, port).await;
            streak = Streak {
                answer,
                length: if streak.answer == answer {
                    streak.length + 1
                } else {
                    1
                },
            };
            let enough = if answer {
                self.success_threshold
            } else {
                self.failure_threshold
            };
            if streak.length >= enough && !decided(answer) {
                return;
            }
            tokio::time::sleep(self.period).await;
        }
    }

    async fn ask(&self, http: &reqwest::Client, port: u16) -> bool {
        let asked = async {
            match &self.question {
                Question::Tcp => TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                    .await
                    .is_ok(),
                Question::Http(path, headers) => {
                    let mut request = http.get(format!("http://127.0.0.1:{port}{path}"));
                    for (name, value) in headers {
                        request = request.header(name, value);
                    }
                    let answer = request.send().await;
                    answer.is_ok_and(|answer| (200..400).contains(&answer.status().as_u16()))
                }
            }
        };
        tokio::time::timeout(self.timeout, asked).await == Ok(true)
    }
}

/// Waits until something listens on `port`.
async fn opened(port: u16) {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_err()
    {
        tokio::time::sleep(KNOCK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_probe_is_read_with_its_figures() {
        let container = json!({"readinessProbe": {
            "httpGet": {"path": "health", "port": "http"},
            "initialDelaySeconds": 2, "periodSeconds": 5, "timeoutSeconds": 1,
            "successThreshold": 1, "failureThreshold": 6
        }});
        let probe = Probe::of(&container, "readinessProbe").unwrap().unwrap();
        assert_eq!(probe.question, Question::Http("/health".to_owned(), vec![]));
        assert_eq!(probe.initial_delay, Duration::from_secs(2));
        assert_eq!(probe.period, Duration::from_secs(5));
        assert_eq!(probe.failure_threshold, 6);
        assert_eq!(Probe::of(&container, "livenessProbe"), Ok(None));
        let exec = json!({"livenessProbe": {"exec": {"command": ["true"]}}});
        assert!(Probe::of(&exec, "livenessProbe").is_err());
    }

    #[tokio::test]
    async fn failures_count_up_to_the_threshold_one_period_apart() {
        let period = Duration::from_millis(50);
        let probe = Probe {
            question: Question::Tcp,
            initial_delay: Duration::ZERO,
            period,
            timeout: period,
            success_threshold: 1,
            failure_threshold: 3,
        };
        let start = std::time::Instant::now();
        // Nothing listens on port 1.
        let mut answers = Vec::new();
        let http = reqwest::Client::new();
        let decided = |answer| {
            answers.push(answer);
            answer
        };
        probe.watch(&http, 1, decided).await;
        assert_eq!(answers, [false]);
        // One period for the port to open, then the first of three questions.
        assert!(start.elapsed() >= 3 * period);
    }
}
