//! A server for tests: gives prepared answers in turn and keeps the requests it got.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use domain::settings::Settings;
use serde_json::Value;

use crate::Context;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The operation of an AWS JSON call (`CreateTrainingJob`).
    pub(crate) fn operation(&self) -> &str {
        let target = self.headers.get("x-amz-target").map_or("", String::as_str);
        target.rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The server; it ends with the test's process.
pub(crate) struct Stub {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    /// Answers each request with the next status and body, and with 599 when none is left.
    pub(crate) fn new(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let answers: Vec<(u16, String)> = answers
            .into_iter()
            .map(|(status, body)| (status, body.to_string()))
            .collect();
        Self::raw(answers)
    }

    /// The same with bodies that needn't be JSON.
    pub(crate) fn raw(answers: Vec<(u16, String)>) -> Self {
        Self::start("http", answers, |stream| stream)
    }

    /// The same over TLS.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn tls(answers: Vec<(u16, String)>, config: rustls::ServerConfig) -> Self {
        let config = Arc::new(config);
        Self::start("https", answers, move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            rustls::StreamOwned::new(connection, stream)
        })
    }

    fn start<S: Read + Write>(
        scheme: &str,
        answers: Vec<(u16, String)>,
        wrap: impl Fn(TcpStream) -> S + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                let mut stream = wrap(stream.unwrap());
                if let Some(request) = read(&mut stream) {
                    kept.lock().unwrap().push(request);
                    let (status, body) = answers.next().unwrap_or((599, String::new()));
                    let head = format!(
                        "HTTP/1.1 {status} Stub\r\ncontent-type: application/json\r\nlocation: /redirected\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    // A client that has gone away shows in the test by itself.
                    let _ = stream.write_all(format!("{head}{body}").as_bytes());
                    let _ = stream.flush();
                }
            }
        });
        Self { url, requests }
    }

    /// A context whose services are all here.
    pub(crate) fn context(&self) -> Context {
        let variables = [
            ("AWS_REGION", "ap-southeast-1"),
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLEKEYID"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &self.url),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Context::new(&Settings::new(variables)).unwrap()
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The operations of the AWS JSON calls so far.
    pub(crate) fn operations(&self) -> Vec<String> {
        let requests = self.requests();
        requests.iter().map(|r| r.operation().to_owned()).collect()
    }
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
            None => break,
        }
    }
    let length = headers.get("content-length").map_or("0", String::as_str);
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}
