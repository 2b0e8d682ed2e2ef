//! Takes a content coding off a body (RFC 9110 §8.4) as it comes: what a flush has completed is handed on at
//! once.

use std::fmt;

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use pushbench_server::contract::factors::{Coding, Compression};
use zstd::stream::raw::{DParameter, Operation};

use super::Ended;

/// Most bytes that are decoded before they are handed on: all that a body that inflates a thousandfold takes
/// of memory here, since the parser behind bounds an event.
const PIECE_BYTES: usize = 16 * 1_024;

/// Base-2 logarithm of gzip's window in bytes, the largest there is (RFC 1951).
const GZIP_WINDOW_BITS: u8 = 15;

/// Base-2 logarithm of the largest window of zstd in HTTP, in bytes (RFC 9659).
const ZSTD_WINDOW_BITS_MAX: u32 = 23;

/// Where the decoder stands between two pieces of a body.
pub struct Decoded {
    coder: Coder,
    piece: Vec<u8>,
    /// The coding has come to its own end.
    complete: bool,
}

/// A library's state.
enum Coder {
    Identity,
    Gzip(Decompress),
    Br(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(zstd::stream::raw::Decoder<'static>),
}

/// What a call of a library did.
struct Step {
    taken: usize,
    written: usize,
    complete: bool,
}

/// The coding that an arm asks for; none of what is no coding.
pub fn asked(compression: Compression) -> Option<Coding> {
    match compression {
        Compression::Coding(coding, _) => Some(coding),
        Compression::Off | Compression::Deflate { .. } => None,
    }
}

impl Decoded {
    /// At the start of a body in this coding; without one, bytes are passed on as they are.
    ///
    /// # Errors
    /// When the library does not start.
    pub fn new(coding: Option<Coding>) -> Result<Self, Ended> {
        let coder = match coding {
            None => Coder::Identity,
            Some(Coding::Gzip) => Coder::Gzip(Decompress::new_gzip(GZIP_WINDOW_BITS)),
            Some(Coding::Br) => {
                let alloc = StandardAlloc::default;
                Coder::Br(Box::new(BrotliState::new(alloc(), alloc(), alloc())))
            }
            Some(Coding::Zstd) => {
                let decoder = zstd::stream::raw::Decoder::new();
                let bounded = decoder.and_then(|mut decoder| {
                    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_BITS_MAX))?;
                    Ok(decoder)
                });
                Coder::Zstd(bounded.map_err(broken)?)
            }
        };
        let piece = if coding.is_some() { PIECE_BYTES } else { 0 };
        Ok(Self {
            coder,
            piece: vec![0; piece],
            complete: coding.is_none(),
        })
    }

    /// Decodes all of `bytes` and hands on what that gives, [`PIECE_BYTES`] at a time.
    ///
    /// # Errors
    /// When they are not in the coding, or go on behind its end; and what `hand_on` gives as one.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        hand_on: &mut impl FnMut(&[u8]) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        if let Coder::Identity = self.coder {
            return hand_on(bytes);
        }
        loop {
            if self.complete {
                return if bytes.is_empty() {
                    Ok(())
                } else {
                    Err(broken("bytes behind its end"))
                };
            }
            let Step {
                taken,
                written,
                complete,
            } = self.coder.step(bytes, &mut self.piece)?;
            bytes = &bytes[taken..];
            self.complete = complete;
            if written > 0 {
                hand_on(&self.piece[..written])?;
            }
            // Room that was left over says that there is nothing more to have from these bytes.
            if bytes.is_empty() && written < self.piece.len() {
                return Ok(());
            }
            if taken == 0 && written == 0 && !complete {
                return Err(broken("the decoder makes nothing of it"));
            }
        }
    }

    /// The body has ended.
    ///
    /// # Errors
    /// When its coding has not.
    pub fn end(&self) -> Result<(), Ended> {
        if self.complete {
            Ok(())
        } else {
            Err(broken("it breaks off"))
        }
    }
}

impl Coder {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Ended> {
        match self {
            Self::Identity => Err(broken("there is none")),
            Self::Gzip(state) => {
                let (taken, written) = (state.total_in(), state.total_out());
                let status = state
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(broken)?;
                Ok(Step {
                    taken: (state.total_in() - taken) as usize,
                    written: (state.total_out() - written) as usize,
                    complete: status == Status::StreamEnd,
                })
            }
            Self::Br(state) => {
                let (mut left, mut taken) = (input.len(), 0);
                let (mut free, mut written) = (output.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut taken,
                    input,
                    &mut free,
                    &mut written,
                    output,
                    &mut 0,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => Err(broken("not brotli")),
                    result => Ok(Step {
                        taken,
                        written,
                        complete: matches!(result, BrotliResult::ResultSuccess),
                    }),
                }
            }
            Self::Zstd(state) => {
                let status = state.run_on_buffers(input, output).map_err(broken)?;
                Ok(Step {
                    taken: status.bytes_read,
                    written: status.bytes_written,
                    complete: status.remaining == 0,
                })
            }
        }
    }
}

fn broken(reason: impl fmt::Display) -> Ended {
    Ended::Failed(format!(
        "the body's content coding cannot be read: {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use pushbench_server::transport::encoder::Encoder;

    use super::*;

    /// Events as a stream has them: nothing, a few tokens, one that no read buffer holds, noise.
    fn events() -> Vec<Vec<u8>> {
        let noise = (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
        let token = |n: u32| format!("data: {{\"seq\":{n},\"text\":\" token\"}}\n\n").into_bytes();
        let mut events: Vec<_> = (0..50).map(token).collect();
        events.extend([Vec::new(), vec![b'x'; 1 << 20], noise.collect(), token(51)]);
        events
    }

    fn levels() -> Vec<(Coding, u8)> {
        let of = |coding, levels: &[u8]| levels.iter().map(|&level| (coding, level)).collect();
        let all: [Vec<_>; 3] = [
            of(Coding::Gzip, &[1, 6, 9]),
            of(Coding::Br, &[2, 4, 9]),
            of(Coding::Zstd, &[1, 3, 19]),
        ];
        all.concat()
    }

    /// Decodes pieces of so many bytes; what came, and how large a piece was at most.
    fn decode(decoded: &mut Decoded, bytes: &[u8], cut: usize) -> Result<Vec<u8>, Ended> {
        let mut content = Vec::new();
        for bytes in bytes.chunks(cut) {
            decoded.push(bytes, &mut |piece| {
                assert!((1..=PIECE_BYTES).contains(&piece.len()));
                content.extend_from_slice(piece);
                Ok(())
            })?;
        }
        Ok(content)
    }

    #[test]
    fn every_event_is_whole_once_its_bytes_are_here() {
        for (coding, level) in levels() {
            for cut in [1, 7, 4_096, usize::MAX] {
                let mut encoder = Encoder::new(coding, level).unwrap();
                let mut decoded = Decoded::new(Some(coding)).unwrap();
                for (number, event) in events().into_iter().enumerate() {
                    let bytes = encoder.event(&event).unwrap();
                    let content = decode(&mut decoded, &bytes, cut).unwrap();
                    // Not assert_eq: a mebibyte of difference helps nobody.
                    assert!(content == event, "{coding:?}-{level} event {number}");
                    assert!(decoded.end().is_err());
                }
                let rest = encoder.finish().unwrap();
                assert!(decode(&mut decoded, &rest, cut).unwrap().is_empty());
                assert_eq!(decoded.end(), Ok(()), "{coding:?}-{level}");
                let behind = decode(&mut decoded, b"x", cut).unwrap_err();
                assert!(behind.to_string().contains("behind its end"), "{behind}");
            }
        }
    }

    #[test]
    fn tokens_shrink_and_a_higher_level_is_another() {
        let tokens = events().into_iter().take(50);
        let plain: usize = tokens.clone().map(|event| event.len()).sum();
        let coded = |(coding, level)| {
            let mut encoder = Encoder::new(coding, level).unwrap();
            assert_eq!(encoder.compression(), Compression::Coding(coding, level));
            let bytes = tokens.clone().map(|event| encoder.event(&event).unwrap());
            bytes.collect::<Vec<_>>().concat()
        };
        for level in levels() {
            let bytes = coded(level).len();
            assert!(bytes < plain * 3 / 4, "{level:?}: {bytes} of {plain}");
        }
        assert_ne!(coded((Coding::Gzip, 1)), coded((Coding::Gzip, 9)));
        assert_ne!(coded((Coding::Br, 2)), coded((Coding::Br, 9)));
        assert_ne!(coded((Coding::Zstd, 1)), coded((Coding::Zstd, 19)));
    }

    #[test]
    fn what_is_not_the_coding_is_refused() {
        for coding in Coding::ALL {
            let mut decoded = Decoded::new(Some(coding)).unwrap();
            let plain = b"data: not coded at all, and long enough to be no head of anything\n\n";
            let refused = decode(&mut decoded, plain, usize::MAX).unwrap_err();
            assert!(refused.to_string().contains("content coding"), "{refused}");
        }
    }

    #[test]
    fn a_window_that_http_does_not_have_is_refused() {
        let mut wide = zstd::stream::raw::Encoder::new(3).unwrap();
        let bits = zstd::stream::raw::CParameter::WindowLog(ZSTD_WINDOW_BITS_MAX + 1);
        wide.set_parameter(bits).unwrap();
        let mut coded = vec![0; 1_024];
        let mut output = zstd::stream::raw::OutBuffer::around(&mut coded[..]);
        let mut input = zstd::stream::raw::InBuffer::around(b"data: x\n\n");
        wide.run(&mut input, &mut output).unwrap();
        wide.flush(&mut output).unwrap();
        let written = output.pos();
        let mut decoded = Decoded::new(Some(Coding::Zstd)).unwrap();
        assert!(decode(&mut decoded, &coded[..written], usize::MAX).is_err());
    }
}
