//! Generated names and hashes in the alphabet of Kubernetes: no vowels, so no words.

use serde_json::Value;

const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Five random characters, the end of a pod's name.
pub(crate) fn suffix() -> String {
    let random = uuid::Uuid::new_v4();
    random
        .into_bytes()
        .into_iter()
        .take(5)
        .map(encode)
        .collect()
}

/// The hash of a pod template, for the names of ReplicaSets.
///
/// FNV-1a over the template in canonical JSON. A real control plane hashes its Go structure: the
/// form of the hash is the same, its value isn't.
pub(crate) fn template_hash(template: &Value) -> String {
    let mut hash = 0x811c_9dc5_u32;
    feed(template, &mut hash);
    hash.to_string().bytes().map(encode).collect()
}

fn encode(byte: u8) -> char {
    char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])
}

/// Feeds a value with its keys in order, whatever order the map keeps them in.
fn feed(value: &Value, hash: &mut u32) {
    let mut bytes = |text: &str| {
        for byte in text.bytes() {
            *hash = (*hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    };
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            bytes("{");
            for (key, value) in entries {
                feed(&Value::from(key.as_str()), hash);
                feed(value, hash);
            }
        }
        Value::Array(list) => {
            bytes("[");
            for value in list {
                feed(value, hash);
            }
        }
        scalar => bytes(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_pronounceable_by_nobody() {
        let name = suffix();
        assert_eq!(name.len(), 5);
        assert!(name.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(suffix(), suffix());
    }

    #[test]
    fn the_hash_depends_on_content_not_order() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":[{"c":2,"d":3}]}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b":[{"d":3,"c":2}],"a":1}"#).unwrap();
        assert_eq!(template_hash(&one), template_hash(&two));
        assert_ne!(template_hash(&one), template_hash(&json!({"a": 2})));
    }
}
