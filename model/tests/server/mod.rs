//! A running `serve`, a plain HTTP client for it, and what it publishes metrics to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Server {
    process: Child,
    address: String,
    log: BufReader<ChildStderr>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, both in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn start(variables: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_serve"))
        .arg("serve")
        .env_clear()
        .envs(variables.iter().copied())
        .env("SERVE_PORT", "0")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Server {
    /// Starts the service and waits until its log says where it listens.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let mut process = start(variables);
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut server = Self {
            process,
            address: String::new(),
            log,
        };
        let mut seen = String::new();
        while server.address.is_empty() {
            let from = seen.len();
            let read = server.log.read_line(&mut seen).unwrap();
            assert_ne!(read, 0, "serve ended: {seen}");
            let line: Value = serde_json::from_str(&seen[from..]).unwrap();
            if let Some(address) = line["address"].as_str() {
                server.address = address.replace("0.0.0.0", "127.0.0.1");
            }
        }
        server
    }

    /// What a service says that doesn't start.
    pub(crate) fn refusal(variables: &[(&str, &str)]) -> String {
        let output = start(variables).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "")
    }

    pub(crate) fn post(&self, path: &str, content_type: &str, body: &str) -> Answer {
        self.send("POST", path, content_type, body)
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, "application/json", &body.to_string())
    }

    /// Asks again until the answer has this status.
    pub(crate) fn until(&self, path: &str, status: u16) -> Answer {
        let start = Instant::now();
        loop {
            let answer = self.get(path);
            if answer.status == status {
                return answer;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{path} still answers {}",
                answer.status
            );
            sleep(Duration::from_millis(10));
        }
    }

    fn send(&self, method: &str, path: &str, content_type: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
             content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            head: head.to_ascii_lowercase(),
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: body.to_owned(),
        }
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&mut self) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end: whether it went well, and the log since the start.
    pub(crate) fn ended(mut self) -> (bool, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.process.wait().unwrap().success(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Takes one request, whatever it is, and answers it with success.
pub(crate) struct Collector {
    url: String,
    body: JoinHandle<Vec<u8>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let body = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nsmithy-protocol: rpc-v2-cbor\r\n\
                          content-type: application/cbor\r\ncontent-length: 1\r\n\r\n";
            let mut stream = reader.into_inner();
            stream.write_all(answer.as_bytes()).unwrap();
            // An empty map.
            stream.write_all(&[0xa0]).unwrap();
            body
        });
        Self { url, body }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The body of the request.
    pub(crate) fn received(self) -> Vec<u8> {
        self.body.join().unwrap()
    }
}
