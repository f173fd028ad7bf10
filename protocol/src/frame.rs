//! A frame is a big-endian `i32` size and so many bytes: the header and the body of one request or response.

use std::fmt;

/// The size field itself, in bytes.
pub const SIZE_LENGTH: usize = 4;

/// Kafka's default of `socket.request.max.bytes`, in bytes: the largest request frame that is read.
pub const DEFAULT_MAX_REQUEST_BYTES: usize = 100 * 1024 * 1024;

/// Why a size field cannot begin a request. The connection cannot be used after it: nothing says where the next frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    Negative(i32),
    TooLarge { size: usize, max: usize },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Negative(size) => write!(f, "negative frame size {size}"),
            FrameError::TooLarge { size, max } => {
                write!(f, "frame of {size} bytes is larger than socket.request.max.bytes={max}")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// Reads the size of the frame that follows. An empty frame is a size like any other; it fails at its header.
pub fn request_size(prefix: [u8; SIZE_LENGTH], max_bytes: usize) -> Result<usize, FrameError> {
    let size = i32::from_be_bytes(prefix);
    let size = usize::try_from(size).map_err(|_| FrameError::Negative(size))?;
    if size > max_bytes {
        return Err(FrameError::TooLarge { size, max: max_bytes });
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(request_size([0, 0, 0, 0], 100), Ok(0));
        assert_eq!(request_size([0, 0, 0, 100], 100), Ok(100));
        assert_eq!(request_size([0, 0, 0, 101], 100), Err(FrameError::TooLarge { size: 101, max: 100 }));
        assert_eq!(request_size([0xff, 0xff, 0xff, 0xfe], 100), Err(FrameError::Negative(-2)));
        // "GET " of a browser that took the port for a web server's.
        assert_eq!(
            request_size(*b"GET ", DEFAULT_MAX_REQUEST_BYTES),
            Err(FrameError::TooLarge { size: 0x4745_5420, max: DEFAULT_MAX_REQUEST_BYTES })
        );
    }
}
