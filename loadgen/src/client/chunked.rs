//! Takes the chunked transfer coding off a body (RFC 9112 §7.1), whichever way the bytes are cut.
//!
//! Our own, and not the HTTP library's, because it lies in the path of every message that is measured:
//! the library's client cost more a message than everything else that the generator does with it, and
//! that was charged to the transport. It hands out slices of what was read and copies nothing.

/// Bytes of one line that carries a chunk's size, its extensions among them. They mean nothing to us and
/// nobody sends them; a line without an end must not be waited for for ever.
const SIZE_LINE_BYTES_MAX: u32 = 4_096;

/// Bytes of all trailer fields together: as many as the HTTP library of both ends allows.
const TRAILER_BYTES_MAX: u32 = 16 * 1_024;

/// Where the decoder stands between two pieces of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoder {
    expects: Expects,
    /// Of the chunk that is being read: its size so far, then what is still to come of it.
    size: u64,
    /// Of the size line, or of the trailer fields, that are being read.
    bytes: u32,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    FirstDigit,
    Digit,
    /// White space after the size: not in the grammar, but some servers pad the size with it.
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer field, or the end's CR.
    TrailerLine,
    Trailer,
    TrailerLf,
    EndLf,
    Nothing,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Of the content.
    Data(&'a [u8]),
    /// All input is used up, and the body goes on.
    More,
    /// The body has ended; what is left of the input is not its own.
    End,
}

/// Not the chunked coding, or beyond a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A byte that the grammar does not have there.
    #[error("byte {byte:#04x} where {expected} belongs")]
    Byte {
        /// The byte.
        byte: u8,
        /// What the grammar has.
        expected: &'static str,
    },
    /// The size does not fit 64 bits.
    #[error("a chunk's size that does not fit 64 bits")]
    Size,
    /// Too long.
    #[error("a size line of more than {SIZE_LINE_BYTES_MAX} bytes")]
    SizeLine,
    /// Too long.
    #[error("trailer fields of more than {TRAILER_BYTES_MAX} bytes")]
    Trailer,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            expects: Expects::FirstDigit,
            size: 0,
            bytes: 0,
        }
    }
}

impl Decoder {
    /// Takes what it can from the front of `input`. Call until it is [`Piece::More`] or [`Piece::End`].
    ///
    /// # Errors
    /// When the bytes are not the chunked coding; what follows cannot be read either.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, Malformed> {
        loop {
            if self.expects == Expects::Data {
                if input.is_empty() {
                    return Ok(Piece::More);
                }
                return Ok(Piece::Data(self.take_data(input)));
            }
            if self.expects == Expects::Nothing {
                return Ok(Piece::End);
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(Piece::More);
            };
            *input = rest;
            self.expects = self.step(byte)?;
        }
    }

    fn take_data<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let here = usize::try_from(self.size).unwrap_or(usize::MAX);
        let (data, rest) = input.split_at(here.min(input.len()));
        *input = rest;
        self.size -= data.len() as u64;
        if self.size == 0 {
            self.expects = Expects::DataCr;
        }
        data
    }

    /// Reads a byte that is not content.
    fn step(&mut self, byte: u8) -> Result<Expects, Malformed> {
        use Expects::*;
        match self.expects {
            FirstDigit | Digit | Padding | Extension => self.size_line(byte),
            SizeLf => {
                let size_line_ended = if self.size == 0 { TrailerLine } else { Data };
                self.bytes = 0;
                only(b'\n', byte, "LF", size_line_ended)
            }
            DataCr => only(b'\r', byte, "the CR after a chunk", DataLf),
            DataLf => only(b'\n', byte, "the LF after a chunk", FirstDigit),
            TrailerLine if byte == b'\r' => Ok(EndLf),
            TrailerLine | Trailer => self.trailer(byte),
            TrailerLf => only(b'\n', byte, "LF", TrailerLine),
            EndLf => only(b'\n', byte, "LF", Nothing),
            Data | Nothing => Ok(self.expects),
        }
    }

    fn size_line(&mut self, byte: u8) -> Result<Expects, Malformed> {
        use Expects::*;
        self.bytes += 1;
        if self.bytes > SIZE_LINE_BYTES_MAX {
            return Err(Malformed::SizeLine);
        }
        match (self.expects, byte) {
            (FirstDigit | Digit, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = self.size.checked_mul(16).ok_or(Malformed::Size)?;
                self.size = size + u64::from(digit);
                Ok(Digit)
            }
            (FirstDigit, _) => expected("a chunk's size", byte),
            (_, b'\r') => Ok(SizeLf),
            (Extension, b'\t' | b' '..=b'~' | 0x80..) => Ok(Extension),
            (Extension, _) => expected("a chunk extension", byte),
            (_, b';') => Ok(Extension),
            (_, b' ' | b'\t') => Ok(Padding),
            _ => expected("a digit, an extension or CR", byte),
        }
    }

    /// Trailer fields are read over: nothing that we ask for has any.
    fn trailer(&mut self, byte: u8) -> Result<Expects, Malformed> {
        self.bytes += 1;
        if self.bytes > TRAILER_BYTES_MAX {
            return Err(Malformed::Trailer);
        }
        match byte {
            b'\r' => Ok(Expects::TrailerLf),
            b'\t' | b' '..=b'~' | 0x80.. => Ok(Expects::Trailer),
            _ => expected("a trailer field", byte),
        }
    }
}

fn only(wanted: u8, byte: u8, name: &'static str, then: Expects) -> Result<Expects, Malformed> {
    if byte == wanted {
        Ok(then)
    } else {
        expected(name, byte)
    }
}

fn expected(expected: &'static str, byte: u8) -> Result<Expects, Malformed> {
    Err(Malformed::Byte { byte, expected })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes pieces of input; content, what was left over, and whether the end came.
    fn decode<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let mut decoder = Decoder::default();
        let (mut content, mut rest, mut ended) = (Vec::new(), Vec::new(), false);
        for mut input in pieces {
            loop {
                match decoder.next(&mut input)? {
                    Piece::Data(data) => {
                        assert!(!data.is_empty());
                        content.extend_from_slice(data);
                    }
                    Piece::More => {
                        assert!(input.is_empty());
                        break;
                    }
                    Piece::End => {
                        rest.extend_from_slice(input);
                        ended = true;
                        break;
                    }
                }
            }
        }
        Ok((content, rest, ended))
    }

    fn whole(bytes: &str) -> Result<(String, bool), Malformed> {
        let (content, rest, ended) = decode([bytes.as_bytes()])?;
        assert!(rest.is_empty());
        Ok((String::from_utf8(content).unwrap(), ended))
    }

    #[test]
    fn known_encodings_are_read() {
        // The example of RFC 9112's predecessor and of every textbook, and each liberty of the grammar.
        for (bytes, content) in [
            ("4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n", "Wikipedia"),
            ("0\r\n\r\n", ""),
            ("000\r\n\r\n", ""),
            ("0000000000000000000001\r\nx\r\n0\r\n\r\n", "x"),
            (
                "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
                "01234567890123456789",
            ),
            ("1;a\r\nx\r\n0;b=\"c\"\r\n\r\n", "x"),
            ("1 ; a = \"\t \u{e9}\" ;b\r\nx\r\n0\r\n\r\n", "x"),
            ("1  \r\nx\r\n0\t\r\n\r\n", "x"),
            ("1\r\nx\r\n0\r\nExpires: never\r\nX: \t\u{e9}\r\n\r\n", "x"),
            ("4\r\n\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n", "\r\n\r\n0\r"),
        ] {
            assert_eq!(whole(bytes), Ok((content.to_owned(), true)), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_the_coding_is_refused() {
        for bytes in [
            "\r\n",
            " 1\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "g\r\n",
            "1g\r\n",
            ";a\r\n",
            "1 2\r\n",
            // Bare line ends: two parsers that disagree about them are how responses are smuggled.
            "1\nx",
            "1\rx",
            "1;a\nx",
            "1\r\nx\n",
            "1\r\nx\rx",
            "1\r\nxy\r\n",
            "0\r\nA: b\n",
            "0\r\n\n",
            "0\r\nA: b\rx",
            "0\r\n\rx",
            "0\r\nA: \0",
            "1;\0",
            "1;\u{7f}",
        ] {
            let refused = whole(bytes);
            assert!(
                matches!(refused, Err(Malformed::Byte { .. })),
                "{bytes:?}: {refused:?}"
            );
        }
        assert_eq!(whole("ffffffffffffffff\r\n"), Ok((String::new(), false)));
        assert_eq!(whole("10000000000000000\r\n"), Err(Malformed::Size));
    }

    #[test]
    fn lines_without_an_end_are_refused_at_their_bound() {
        let zeros = "0".repeat(SIZE_LINE_BYTES_MAX as usize);
        assert_eq!(whole(&zeros), Ok((String::new(), false)));
        assert_eq!(whole(&(zeros + "0")), Err(Malformed::SizeLine));
        let extension = format!("1;{}", "x".repeat(SIZE_LINE_BYTES_MAX as usize));
        assert_eq!(whole(&extension), Err(Malformed::SizeLine));
        // The bound is a line's: a stream of many small chunks has none.
        let many = "1;extension\r\nx\r\n".repeat(10_000);
        assert_eq!(whole(&many), Ok(("x".repeat(10_000), false)));
        let trailer = format!("0\r\n{}", "a: b\r\n".repeat(4_000));
        assert_eq!(whole(&trailer), Err(Malformed::Trailer));
    }

    #[test]
    fn bytes_after_the_end_are_left() {
        let (content, rest, ended) =
            decode([&b"1\r\nx\r\n0\r\n\r\nHTTP/1.1 "[..], b"200"]).unwrap();
        assert_eq!(
            (content.as_slice(), rest.as_slice(), ended),
            (&b"x"[..], &b"HTTP/1.1 200"[..], true)
        );
    }

    /// Cuts bytes at these places.
    fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut at: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        at.push(bytes.len());
        at.sort_unstable();
        let mut from = 0;
        at.into_iter()
            .map(|to| &bytes[std::mem::replace(&mut from, to)..to])
            .collect()
    }

    fn encode(chunks: &[Vec<u8>], decoration: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            let size = match (number + decoration) % 4 {
                0 => format!("{:x}\r\n", chunk.len()),
                1 => format!("{:X};name=\"value\"\r\n", chunk.len()),
                2 => format!("00{:x} \r\n", chunk.len()),
                _ => format!("{:x}\t;x\r\n", chunk.len()),
            };
            bytes.extend_from_slice(size.as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nTrailer: x\r\n\r\nrest");
        bytes
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_content(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..12),
            cuts in prop::collection::vec(any::<usize>(), 0..40),
            decoration in 0_usize..4,
        ) {
            let bytes = encode(&chunks, decoration);
            let decoded = decode(cut(&bytes, &cuts)).unwrap();
            prop_assert_eq!(decoded, (chunks.concat(), b"rest".to_vec(), true));
        }

        #[test]
        fn any_bytes_are_read_or_refused_alike_however_they_are_cut(
            bytes in "[0-3a;\r\n x]{0,40}",
            cuts in prop::collection::vec(any::<usize>(), 0..10),
        ) {
            let bytes = bytes.as_bytes();
            prop_assert_eq!(decode([bytes]), decode(cut(bytes, &cuts)));
        }
    }
}
