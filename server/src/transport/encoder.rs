//! The content codings that a stream is written in (RFC 9110 §8.4), each a library's encoder at the level
//! asked for and at the window that the library takes by default.

use std::{fmt, io};

use brotli::enc::{
    StandardAlloc,
    encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct},
};
use flate2::{Compress, FlushCompress, Status};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

use crate::contract::factors::{Coding, Compression};

/// Base-2 logarithm of gzip's window in bytes: the largest there is, and every library's default (RFC 1951).
const GZIP_WINDOW_BITS: u8 = 15;

/// Room that is made for output before each call of a library, bytes: a coded token with its flush takes less,
/// and zlib asks for more than six to end a flush in one go.
const ROOM_BYTES: usize = 256;

/// A stream that is being coded.
///
/// Each event goes through the encoder alone and is flushed, so that its last byte leaves with it. Where many
/// are ready they could share a flush, and would be smaller; but then one size of a token would depend on how
/// busy the server is. What a flush costs is a part of the coding: gzip's is 5 bytes.
pub struct Encoder {
    coder: Coder,
    coding: Coding,
    level: u8,
}

/// A library's state: all the memory that a coded stream takes beside a plain one.
enum Coder {
    Gzip(Compress),
    // The largest by far, and seldom used.
    Br(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    Zstd(zstd::stream::raw::Encoder<'static>),
}

impl Encoder {
    /// At a stream's start.
    ///
    /// # Errors
    /// When the library does not take the level.
    pub fn new(coding: Coding, level: u8) -> io::Result<Self> {
        let coder = match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(level.into());
                Coder::Gzip(Compress::new_gzip(level, GZIP_WINDOW_BITS))
            }
            Coding::Br => {
                let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
                let quality = BrotliEncoderParameter::BROTLI_PARAM_QUALITY;
                if !state.set_parameter(quality, level.into()) {
                    return Err(io::Error::other("brotli does not take this quality"));
                }
                Coder::Br(Box::new(state))
            }
            Coding::Zstd => Coder::Zstd(zstd::stream::raw::Encoder::new(level.into())?),
        };
        Ok(Self {
            coder,
            coding,
            level,
        })
    }

    /// What it does, as a level of the factor.
    pub fn compression(&self) -> Compression {
        Compression::Coding(self.coding, self.level)
    }

    /// Codes an event and flushes: all that the peer needs to have it whole.
    ///
    /// # Errors
    /// When the library fails; the stream cannot go on.
    pub fn event(&mut self, event: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(event.len() / 2 + ROOM_BYTES);
        match &mut self.coder {
            Coder::Gzip(state) => gzip(state, event, FlushCompress::Sync, &mut out)?,
            Coder::Br(state) => {
                let flush = BrotliEncoderOperation::BROTLI_OPERATION_FLUSH;
                br(state, event, flush, &mut out)?;
            }
            Coder::Zstd(state) => {
                let mut input = InBuffer::around(event);
                while input.pos() < event.len() {
                    with_room(&mut out, |room| state.run(&mut input, room))?;
                }
                while with_room(&mut out, |room| state.flush(room))? > 0 {}
            }
        }
        Ok(out)
    }

    /// What ends the coding.
    ///
    /// # Errors
    /// When the library fails.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(ROOM_BYTES);
        match &mut self.coder {
            Coder::Gzip(state) => gzip(state, &[], FlushCompress::Finish, &mut out)?,
            Coder::Br(state) => {
                let finish = BrotliEncoderOperation::BROTLI_OPERATION_FINISH;
                br(state, &[], finish, &mut out)?;
            }
            Coder::Zstd(state) => {
                while with_room(&mut out, |room| state.finish(room, true))? > 0 {}
            }
        }
        Ok(out)
    }
}

fn gzip(
    state: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        out.reserve(ROOM_BYTES);
        let before = state.total_in();
        let status = state.compress_vec(input, out, flush)?;
        input = &input[(state.total_in() - before) as usize..];
        let flushed = flush == FlushCompress::Sync && out.len() < out.capacity();
        // Room that was left over says that nothing is held back (zlib's manual, deflate()).
        if status == Status::StreamEnd || flushed && input.is_empty() {
            return Ok(());
        }
    }
}

fn br(
    state: &mut BrotliEncoderStateStruct<StandardAlloc>,
    input: &[u8],
    operation: BrotliEncoderOperation,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let (mut left, mut taken) = (input.len(), 0);
    let mut room = [0; ROOM_BYTES];
    loop {
        let (mut free, mut written) = (room.len(), 0);
        let went_well = state.compress_stream(
            operation,
            &mut left,
            input,
            &mut taken,
            &mut free,
            &mut room,
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !went_well {
            return Err(io::Error::other("brotli cannot code this"));
        }
        out.extend_from_slice(&room[..written]);
        if left == 0 && !state.has_more_output() {
            return Ok(());
        }
    }
}

/// Has a library write behind what is there.
fn with_room<T>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<T>,
) -> io::Result<T> {
    out.reserve(ROOM_BYTES);
    let behind = out.len();
    write(&mut OutBuffer::around_pos(out, behind))
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({})", self.compression())
    }
}
