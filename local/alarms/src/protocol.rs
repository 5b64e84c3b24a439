//! The wire protocols of CloudWatch: RPC v2 CBOR, which the SDKs of 2025 and later speak, and AWS
//! JSON. The older query protocol is recognised, for calls that are only passed on.

use aws_smithy_cbor::{Decoder, Encoder, data::Type, decode::DeserializeError};
use aws_smithy_types::DateTime;
use axum::{
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use jiff::Timestamp;
use serde_json::{Map, Number, Value, json};

/// Deepest nesting that is read.
const DEPTH: usize = 32;
/// How members that hold moments end; JSON and we write them as epoch seconds, CBOR tags them.
const MOMENTS: [&str; 3] = ["Timestamp", "Timestamps", "LastModified"];

/// How a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Cbor,
    Json,
    Query,
}

/// Why a call is refused: AWS's error code, and a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    fn status(&self) -> StatusCode {
        match self.code.as_str() {
            "AccessDenied" | "MissingAuthenticationToken" => StatusCode::FORBIDDEN,
            "ResourceNotFound" => StatusCode::NOT_FOUND,
            "InternalServiceFault" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// How a call came and what it asks for; `None` when it isn't told.
pub(crate) fn operation(parts: &Parts, body: &[u8]) -> Option<(Protocol, String)> {
    let text = |name: header::HeaderName| {
        let value = parts.headers.get(name).map(header::HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    if text(header::CONTENT_TYPE).contains("cbor") || parts.headers.contains_key("smithy-protocol")
    {
        let (_, operation) = parts.uri.path().rsplit_once("/operation/")?;
        return Some((Protocol::Cbor, operation.to_owned()));
    }
    let target = text(header::HeaderName::from_static("x-amz-target"));
    if let Some((_, operation)) = target.rsplit_once('.') {
        return Some((Protocol::Json, operation.to_owned()));
    }
    let form = String::from_utf8_lossy(body);
    let query = parts.uri.query().unwrap_or_default();
    let mut fields = form.split('&').chain(query.split('&'));
    let action = fields.find_map(|field| field.strip_prefix("Action="))?;
    Some((Protocol::Query, action.to_owned()))
}

impl Protocol {
    /// Reads a call's input.
    pub(crate) fn read(self, body: &[u8]) -> Result<Value, Fault> {
        let input = match self {
            Self::Cbor | Self::Json if body.is_empty() => Ok(json!({})),
            Self::Cbor => {
                let mut decoder = Decoder::new(body);
                decode(&mut decoder, DEPTH).map_err(|error| error.to_string())
            }
            Self::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Query => Err(
                "this stand-in of CloudWatch reads calls about alarms in RPC v2 CBOR \
                                and JSON, not in the query protocol"
                    .to_owned(),
            ),
        };
        input.map_err(|reason| Fault::new("SerializationException", reason))
    }

    /// Writes a call's answer.
    pub(crate) fn answer(self, outcome: Result<Value, Fault>) -> Response {
        match outcome {
            Ok(output) => self.write(StatusCode::OK, &output),
            Err(fault) => {
                let body = json!({"__type": fault.code, "message": fault.message});
                let mut response = match self {
                    Self::Query => {
                        let body = format!(
                            "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}\
                             </Message></Error></ErrorResponse>",
                            fault.code, fault.message
                        );
                        (fault.status(), [(header::CONTENT_TYPE, "text/xml")], body).into_response()
                    }
                    Self::Cbor | Self::Json => self.write(fault.status(), &body),
                };
                // What the codes were called before the newer protocols.
                let query_error = header::HeaderValue::try_from(format!("{};Sender", fault.code));
                if let Ok(value) = query_error {
                    response.headers_mut().insert("x-amzn-query-error", value);
                }
                response
            }
        }
    }

    fn write(self, status: StatusCode, output: &Value) -> Response {
        if self == Self::Cbor {
            let mut encoder = Encoder::new(Vec::new());
            encode(&mut encoder, output);
            let headers = [
                (header::CONTENT_TYPE, "application/cbor"),
                (
                    header::HeaderName::from_static("smithy-protocol"),
                    "rpc-v2-cbor",
                ),
            ];
            return (status, headers, encoder.into_writer()).into_response();
        }
        let headers = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
        (status, headers, output.to_string()).into_response()
    }
}

/// A CBOR item as JSON; a moment becomes epoch seconds.
fn decode(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, DeserializeError> {
    let Some(depth) = depth.checked_sub(1) else {
        let position = decoder.position();
        return Err(DeserializeError::custom("nested too deeply", position));
    };
    Ok(match decoder.datatype()? {
        Type::Map | Type::MapIndef => {
            let mut map = Map::new();
            let length = decoder.map()?;
            while more(decoder, length, map.len())? {
                let key = decoder.str()?.into_owned();
                map.insert(key, decode(decoder, depth)?);
            }
            Value::Object(map)
        }
        Type::Array | Type::ArrayIndef => {
            let mut list = Vec::new();
            let length = decoder.list()?;
            while more(decoder, length, list.len())? {
                list.push(decode(decoder, depth)?);
            }
            Value::Array(list)
        }
        Type::String | Type::StringIndef => Value::String(decoder.string()?),
        Type::Bool => Value::Bool(decoder.boolean()?),
        Type::F16 | Type::F32 | Type::F64 => number(decoder.double()?),
        Type::Tag => number(decoder.timestamp()?.as_secs_f64()),
        Type::Null | Type::Undefined => {
            decoder.skip()?;
            Value::Null
        }
        _ => Value::from(decoder.long()?),
    })
}

/// Whether a map or list goes on; the end of one of unknown length is skipped.
fn more(
    decoder: &mut Decoder<'_>,
    length: Option<u64>,
    read: usize,
) -> Result<bool, DeserializeError> {
    if let Some(length) = length {
        return Ok((read as u64) < length);
    }
    let ended = decoder.datatype()? == Type::Break;
    if ended {
        decoder.skip()?;
    }
    Ok(!ended)
}

/// Infinite numbers and what isn't one are `null`, which no member takes.
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn encode(encoder: &mut Encoder, value: &Value) {
    match value {
        Value::Null => {
            encoder.null();
        }
        Value::Bool(value) => {
            encoder.boolean(*value);
        }
        Value::Number(number) => match number.as_i64() {
            Some(value) => {
                encoder.long(value);
            }
            None => {
                encoder.double(number.as_f64().unwrap_or_default());
            }
        },
        Value::String(text) => {
            encoder.str(text);
        }
        Value::Array(list) => {
            encoder.array(list.len());
            for item in list {
                encode(encoder, item);
            }
        }
        Value::Object(map) => {
            encoder.map(map.len());
            for (key, item) in map {
                encoder.str(key);
                if MOMENTS.iter().any(|end| key.ends_with(end)) {
                    encode_moments(encoder, item);
                } else {
                    encode(encoder, item);
                }
            }
        }
    }
}

/// A moment, or a list of them; the emulator writes some as text.
fn encode_moments(encoder: &mut Encoder, value: &Value) {
    let written = value.as_str().and_then(|text| text.parse().ok());
    let written = written.map(|time: Timestamp| time.as_millisecond() as f64 / 1e3);
    match (value, written.or_else(|| value.as_f64())) {
        (_, Some(seconds)) => {
            encoder.timestamp(&DateTime::from_secs_f64(seconds));
        }
        (Value::Array(list), None) => {
            encoder.array(list.len());
            for item in list {
                encode_moments(encoder, item);
            }
        }
        (_, None) => encode(encoder, value),
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_cbor::{Decoder, Encoder};
    use axum::http::Request;
    use serde_json::json;

    use super::{DEPTH, Protocol, decode, encode, operation};

    #[test]
    fn cbor_is_read_as_it_is_written() {
        let value = json!({"A": [1, -2, 2.5, "x", true, null, {}], "EndTimestamp": 1.5, "B": 3.0,
            "Timestamps": [2.5]});
        let mut encoder = Encoder::new(Vec::new());
        encode(&mut encoder, &value);
        let bytes = encoder.into_writer();
        // Tag 1, a moment: the SDK takes nothing else for one.
        let tags = bytes.windows(2).filter(|pair| **pair == [0xc1, 0xfb]);
        assert_eq!(tags.count(), 2, "{bytes:x?}");
        assert_eq!(decode(&mut Decoder::new(&bytes), DEPTH).unwrap(), value);
    }

    #[test]
    fn moments_in_text_become_moments() {
        let mut encoder = Encoder::new(Vec::new());
        encode(
            &mut encoder,
            &json!({"LastModified": "1970-01-01T00:01:00Z"}),
        );
        let value = decode(&mut Decoder::new(&encoder.into_writer()), DEPTH).unwrap();
        assert_eq!(value, json!({"LastModified": 60.0}));
    }

    #[test]
    fn maps_and_lists_of_unknown_length_are_read() {
        let mut encoder = Encoder::new(Vec::new());
        encoder
            .begin_map()
            .str("L")
            .begin_array()
            .integer(1)
            .integer(2);
        encoder.end().str("E").array(0).end();
        let bytes = encoder.into_writer();
        let value = decode(&mut Decoder::new(&bytes), DEPTH).unwrap();
        assert_eq!(value, json!({"L": [1, 2], "E": []}));
    }

    #[test]
    fn what_is_cut_off_or_too_deep_is_an_error() {
        let deep = [0x81; 100];
        for bytes in [&deep[..], &[0xbf, 0x61], &[0xa1, 0x61, 0x41]] {
            assert!(Protocol::Cbor.read(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn each_protocol_tells_the_operation() {
        let path = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
        let cbor = Request::post(path).header("content-type", "application/cbor");
        let json = Request::post("/").header(
            "x-amz-target",
            "GraniteServiceVersion20100801.DescribeAlarms",
        );
        let query = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        for (request, body, protocol) in [
            (cbor, "", Protocol::Cbor),
            (json, "{}", Protocol::Json),
            (
                query,
                "Version=2010-08-01&Action=DescribeAlarms",
                Protocol::Query,
            ),
        ] {
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let expected = Some((protocol, "DescribeAlarms".to_owned()));
            assert_eq!(operation(&parts, body.as_bytes()), expected);
        }
    }
}
