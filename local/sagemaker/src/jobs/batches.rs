//! Mini-batches of a transform: how an object becomes requests, and answers an object.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// How an object is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Whole objects.
    None,
    /// One line for each request.
    SingleLine,
    /// As many lines as fit.
    Lines,
}

/// A record or an object that is larger than a request may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{size} bytes in one piece are more than MaxPayloadInMB allows ({limit} bytes)")]
pub(super) struct TooLarge {
    size: usize,
    limit: usize,
}

/// Divides an object into payloads of at most `limit` bytes. Lines keep their ends; empty lines are
/// no records.
pub(super) fn split(object: &Bytes, how: Split, limit: usize) -> Result<Vec<Bytes>, TooLarge> {
    let fits = |range: &Range<usize>| {
        if range.len() > limit {
            let size = range.len();
            Err(TooLarge { size, limit })
        } else {
            Ok(())
        }
    };
    if how == Split::None {
        fits(&(0..object.len()))?;
        return Ok(vec![object.clone()]);
    }
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut end = 0;
    for line in object.split_inclusive(|byte| *byte == b'\n') {
        let range = end..end + line.len();
        end = range.end;
        if line.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            continue;
        }
        fits(&range)?;
        match batches.last_mut() {
            Some(last)
                if how == Split::Lines
                    && last.end == range.start
                    && range.end - last.start <= limit =>
            {
                last.end = range.end;
            }
            _ => batches.push(range),
        }
    }
    Ok(batches
        .into_iter()
        .map(|range| object.slice(range))
        .collect())
}

/// Puts the answers together: as they are, or each ending with a line's end.
pub(super) fn assemble(answers: &[Bytes], by_line: bool) -> Bytes {
    let mut object = BytesMut::with_capacity(answers.iter().map(|a| a.len() + 1).sum());
    for answer in answers {
        object.extend_from_slice(answer);
        if by_line && !answer.ends_with(b"\n") {
            object.extend_from_slice(b"\n");
        }
    }
    object.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(batches: &[Bytes]) -> Vec<&str> {
        batches
            .iter()
            .map(|batch| std::str::from_utf8(batch).expect("text"))
            .collect()
    }

    #[test]
    fn lines_are_packed_up_to_the_limit() -> Result<(), TooLarge> {
        let object = Bytes::from_static(b"aa\nbb\ncc\ndd");
        assert_eq!(
            texts(&split(&object, Split::Lines, 6)?),
            ["aa\nbb\n", "cc\ndd"]
        );
        assert_eq!(
            texts(&split(&object, Split::Lines, 5)?),
            ["aa\n", "bb\n", "cc\ndd"]
        );
        Ok(())
    }

    #[test]
    fn single_lines_and_whole_objects() -> Result<(), TooLarge> {
        let object = Bytes::from_static(b"a\n\nb\r\n");
        assert_eq!(
            texts(&split(&object, Split::SingleLine, 100)?),
            ["a\n", "b\r\n"]
        );
        assert_eq!(texts(&split(&object, Split::None, 100)?), ["a\n\nb\r\n"]);
        Ok(())
    }

    #[test]
    fn a_record_over_the_limit_is_refused() {
        let object = Bytes::from_static(b"a\nlonger\n");
        assert_eq!(
            split(&object, Split::Lines, 4),
            Err(TooLarge { size: 7, limit: 4 })
        );
        assert!(split(&object, Split::None, 4).is_err());
    }

    #[test]
    fn no_record_is_lost_at_any_limit() -> Result<(), TooLarge> {
        let rows: Vec<String> = (0..500).map(|n| format!("{n},x")).collect();
        let object = Bytes::from(rows.join("\n"));
        for limit in [8, 20, 333, 100_000] {
            let batches = split(&object, Split::Lines, limit)?;
            assert!(batches.iter().all(|batch| batch.len() <= limit));
            let joined: Vec<&str> = texts(&batches).iter().flat_map(|b| b.lines()).collect();
            assert_eq!(joined, rows);
        }
        Ok(())
    }

    #[test]
    fn answers_end_with_exactly_one_line_end() {
        let answers = [Bytes::from_static(b"1\n2"), Bytes::from_static(b"3\n")];
        assert_eq!(assemble(&answers, true), "1\n2\n3\n");
        assert_eq!(assemble(&answers, false), "1\n23\n");
    }
}
