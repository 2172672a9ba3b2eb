//! Reads the headers of HTTP/2 (RFC 7541), as far as the answer of a gRPC probe needs them.

use std::collections::VecDeque;

/// The most that the headers of an answer may come to: a few bytes can stand for much.
const MOST: usize = 64 << 10;
/// What the sender may keep in the table, as long as it is told nothing else.
const TABLE: usize = 4096;
/// The number of entries in the static table.
const STATIC: usize = 61;

/// How many codes of Huffman's have one bit, two bits, and so on.
const COUNTS: [u8; 30] = [
    0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29,
    0, 4,
];
/// What the codes stand for, from the lowest code up; the very last one stands for the end.
const SYMBOLS: &[u8; 256] = b"\
    012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!\"()?'+|#>\0$@[]~\
    ^}<`{\\\xc3\xd0\x80\x82\x83\xa2\xb8\xc2\xe0\xe2\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\
    \xe5\xe6\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\
    \xc4\xc6\xe4\xe8\xe9\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\
    \xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed\
    \xc7\xcf\xea\xeb\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff\xcb\xcc\xd3\xd4\
    \xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe\x02\x03\x04\x05\x06\x07\x08\x0b\
    \x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9\n\r\x16";

/// A name and its value.
pub(super) type Header = (String, String);

/// Writes a text as it is, with its length before it.
pub(super) fn write_text(block: &mut Vec<u8>, text: &str) {
    match text.len().checked_sub(0x7f) {
        None => block.extend(u8::try_from(text.len())),
        Some(rest) => {
            block.push(0x7f);
            write_varint(block, rest);
        }
    }
    block.extend_from_slice(text.as_bytes());
}

/// Writes a number seven bits at a time, the lowest ones first.
pub(super) fn write_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

/// Reads the blocks of headers of one connection, one after the other.
#[derive(Debug)]
pub(super) struct HeaderReader {
    /// The entries of the dynamic table, the latest first.
    table: VecDeque<Header>,
    limit: usize,
}

impl HeaderReader {
    pub(super) const fn new() -> Self {
        Self {
            table: VecDeque::new(),
            limit: TABLE,
        }
    }

    /// Returns the headers of a block, or `None` if it is not well-formed.
    pub(super) fn read(&mut self, block: &[u8]) -> Option<Vec<Header>> {
        let mut rest = Rest(block);
        let mut headers = Vec::new();
        let mut total = 0;
        while let Some(&first) = rest.0.first() {
            let header = match first {
                0x80.. => self.entry(rest.number(7)?)?,
                0x40.. => {
                    let header = self.literal(&mut rest, 6)?;
                    self.table.push_front(header.clone());
                    self.shrink();
                    header
                }
                0x20.. => {
                    self.limit = rest.number(5).filter(|&limit| limit <= TABLE)?;
                    self.shrink();
                    continue;
                }
                _ => self.literal(&mut rest, 4)?,
            };
            total += cost(&header);
            if total > MOST {
                return None;
            }
            headers.push(header);
        }
        Some(headers)
    }

    fn literal(&self, rest: &mut Rest<'_>, bits: u32) -> Option<Header> {
        let name = match rest.number(bits)? {
            0 => rest.text()?,
            index => self.entry(index)?.0,
        };
        Some((name, rest.text()?))
    }

    fn entry(&self, index: usize) -> Option<Header> {
        match index {
            0 => None,
            1..=STATIC => {
                let (name, value) = static_entry(index);
                Some((name.to_owned(), value.to_owned()))
            }
            _ => self.table.get(index - STATIC - 1).cloned(),
        }
    }

    /// Drops the oldest entries that do not fit any more.
    fn shrink(&mut self) {
        while self.table.iter().map(cost).sum::<usize>() > self.limit {
            self.table.pop_back();
        }
    }
}

/// Returns how much of the table's limit a header takes.
const fn cost((name, value): &Header) -> usize {
    name.len() + value.len() + 32
}

/// Returns an entry of the static table; those that no one asks for have no name.
const fn static_entry(index: usize) -> (&'static str, &'static str) {
    match index {
        8 => (":status", "200"),
        9 => (":status", "204"),
        10 => (":status", "206"),
        11 => (":status", "304"),
        12 => (":status", "400"),
        13 => (":status", "404"),
        14 => (":status", "500"),
        31 => ("content-type", ""),
        _ => ("", ""),
    }
}

/// What has not been read of a block.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Reads a number that begins in the lower bits of the next byte.
    fn number(&mut self, bits: u32) -> Option<usize> {
        let most = (1 << bits) - 1;
        let mut number = usize::from(self.byte()?) & most;
        if number < most {
            return Some(number);
        }
        // Nothing that is read here has a greater number than three bytes more can hold.
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let is_packed = *self.0.first()? >= 0x80;
        let length = self.number(7)?;
        let bytes = self.take(length)?;
        let bytes = match is_packed {
            true => unpacked(bytes)?,
            false => bytes.to_vec(),
        };
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Returns what a text in Huffman's code says. The codes of each length follow one another, and
/// begin where those of the length before end.
fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let bits = packed
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1)));
    let mut text = Vec::new();
    let mut code = 0;
    let mut first = 0;
    let mut index = 0;
    let mut length = 0;
    for bit in bits {
        code = code << 1 | bit;
        let count = u32::from(*COUNTS.get(length)?);
        if code < first + count {
            text.push(*SYMBOLS.get(usize::try_from(index + code - first).ok()?)?);
            (code, first, index, length) = (0, 0, 0, 0);
        } else {
            index += count;
            first = (first + count) << 1;
            length += 1;
        }
    }
    // The last byte is filled up with ones, which begin the code of the end.
    (length < 8 && code + 1 == 1 << length).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|it| it.to_digit(16)).collect();
        let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn text(headers: &[Header]) -> String {
        let line = |(name, value): &Header| format!("{name}={value}");
        headers.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn headers_are_read_as_the_standard_shows() {
        // RFC 7541, C.6: responses whose texts are packed and kept in the table.
        let first = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0
            82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3";
        let mut reader = HeaderReader::new();
        let headers = reader.read(&bytes(first)).unwrap();
        assert_eq!(headers[0], (":status".to_owned(), "302".to_owned()));
        assert_eq!(headers[2].1, "Mon, 21 Oct 2013 20:13:21 GMT");
        assert_eq!(headers[3].1, "https://www.example.com");
        let headers = reader.read(&bytes("4883 640e ffc1 c0bf")).unwrap();
        assert_eq!(headers[0].1, "307");
        assert_eq!(headers[1].1, "private");
    }

    #[test]
    fn letters_are_unpacked_as_others_pack_them() {
        let packed = "ffc7fffff3ffffff5ffffff97fffffc7fd7c85eff30e8dfffb8cd5f8ffeffffa9ffff77ffff07fffb1fffddf
            fffd5ffffb3ffff77fffcbffff3fffffdefffff9bfffcbfffd9ffffcfffffeafffffd1fffffbbf";
        assert_eq!(
            unpacked(&bytes(packed)),
            Some((0..=255).step_by(7).collect())
        );
    }

    #[test]
    fn plain_texts_and_names_of_the_static_table_are_read() {
        let block = b"\x88\x5f\x10application/grpc\x00\x0bgrpc-status\x010\x10\x01a\x01b";
        let headers = HeaderReader::new().read(block).unwrap();
        let wanted = ":status=200 content-type=application/grpc grpc-status=0 a=b";
        assert_eq!(text(&headers), wanted);
    }

    #[test]
    fn what_is_not_well_formed_is_refused_and_small_blocks_do_not_grow_without_end() {
        let mut reader = HeaderReader::new();
        for block in [
            "80",
            "be",
            "ff",
            "ffffffffff",
            "00",
            "0001",
            "000161",
            "008180",
            "3fe13f",
            "0081ff00",
        ] {
            assert_eq!(reader.read(&bytes(block)), None, "{block}");
        }
        let mut long = b"\x40\x01n\x7f\xa1\x1e".to_vec();
        long.extend([b'v'; 4000]);
        long.extend([0xbe; 20]);
        assert_eq!(reader.read(&long), None);
    }
}
