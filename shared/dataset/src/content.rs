//! The bytes of a data set: decompressed if need be, counted, capped and digested as they pass.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const COMPRESSED_BUFFER: usize = 64 * 1024;

/// Why reading ended before the content did.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The source failed (disk, network): nothing is known about the data.
    Source(io::Error),
    /// The gzip data is cut off or damaged.
    Damaged(String),
    /// More bytes than the cap allows.
    TooLarge,
    /// A row longer than the limit starts in this line.
    LongRow(u64),
}

/// A reader of the content, whose digest is the same for a file and its gzip.
pub(crate) struct Content<R> {
    bytes: Bytes<R>,
    hash: Sha256,
    length: u64,
    max_length: u64,
}

/// The source, with the bytes that were read to recognise gzip put back in front.
type Source<R> = Chain<Cursor<Vec<u8>>, Watched<R>>;

enum Bytes<R> {
    Plain(Source<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Source<R>>>>),
}

/// Remembers that the source itself failed: a decoder's errors look the same from outside.
struct Watched<R> {
    source: R,
    failed: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer);
        self.failed |= matches!(&read, Err(error) if error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

impl<R: Read> Content<R> {
    /// Looks at the first two bytes to tell gzip from plain text.
    pub(crate) fn open(source: R, max_length: u64) -> io::Result<Self> {
        let mut source = Watched {
            source,
            failed: false,
        };
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        (&mut source)
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut magic)?;
        let gzip = magic == GZIP_MAGIC;
        let source = Cursor::new(magic).chain(source);
        let bytes = if gzip {
            let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, source);
            Bytes::Gzip(Box::new(MultiGzDecoder::new(buffered)))
        } else {
            Bytes::Plain(source)
        };
        Ok(Self {
            bytes,
            hash: Sha256::new(),
            length: 0,
            max_length,
        })
    }

    /// Fills the front of `buffer`; 0 at the end of the content.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        let read = loop {
            let read = match &mut self.bytes {
                Bytes::Plain(source) => source.read(buffer),
                Bytes::Gzip(decoder) => decoder.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => break read,
                Err(error) if self.source_failed() => return Err(Stop::Source(error)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Stop::Damaged("it ends in the middle".to_owned()));
                }
                Err(error) => return Err(Stop::Damaged(error.to_string())),
            }
        };
        self.length += read as u64;
        if self.length > self.max_length {
            return Err(Stop::TooLarge);
        }
        self.hash.update(&buffer[..read]);
        Ok(read)
    }

    fn source_failed(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(_) => true,
            Bytes::Gzip(decoder) => decoder.get_ref().get_ref().get_ref().1.failed,
        }
    }

    pub(crate) fn is_gzip(&self) -> bool {
        matches!(self.bytes, Bytes::Gzip(_))
    }

    /// Bytes read so far, decompressed.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the bytes read so far, in lower-case hex.
    pub(crate) fn digest(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read_all<R: Read>(content: &mut Content<R>) -> Result<Vec<u8>, Stop> {
        let (mut all, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(all),
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    #[test]
    fn a_file_and_its_gzip_have_one_identity() {
        let text = b"date,store,item,sales\n".repeat(100);
        let mut members = gzip(&text[..1000]);
        members.extend(gzip(&text[1000..]));
        let mut digests = Vec::new();
        for bytes in [text.clone(), gzip(&text), members] {
            let mut content = Content::open(&bytes[..], u64::MAX).unwrap();
            assert_eq!(read_all(&mut content).unwrap(), text);
            digests.push(content.digest());
        }
        assert_eq!(digests[0], hex::encode(Sha256::digest(&text)));
        assert_eq!(digests[0], digests[1]);
        assert_eq!(digests[0], digests[2]);
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    #[test]
    fn a_cut_or_damaged_gzip_is_told_from_a_failing_source() {
        let whole = gzip(&b"2013-01-01,1,1,13\n".repeat(1000));
        for length in 3..whole.len() {
            let mut content = Content::open(&whole[..length], u64::MAX).unwrap();
            assert!(
                matches!(read_all(&mut content), Err(Stop::Damaged(_))),
                "cut at {length}"
            );
        }
        let mut damaged = whole.clone();
        damaged[20] ^= 0xff;
        let mut content = Content::open(&damaged[..], u64::MAX).unwrap();
        assert!(matches!(read_all(&mut content), Err(Stop::Damaged(_))));

        for front in [&whole[..50], &b"date,store"[..]] {
            let mut content = Content::open(front.chain(Broken), u64::MAX).unwrap();
            assert!(matches!(read_all(&mut content), Err(Stop::Source(_))));
        }
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = gzip(&vec![b'0'; 1 << 20]);
        assert!(bomb.len() < 2048);
        let mut content = Content::open(&bomb[..], 1 << 16).unwrap();
        assert!(matches!(read_all(&mut content), Err(Stop::TooLarge)));
        assert!(content.length() <= (1 << 16) + 7);
        let mut exact = Content::open(&b"12345678"[..], 8).unwrap();
        assert_eq!(read_all(&mut exact).unwrap(), b"12345678");
    }
}
