//! Writes a checkpoint of a run, tensor by tensor as the device gives them.

use std::io::{self, Write};

use burn::tensor::Transaction;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::{ENTRY, EVENTS, Header};
use crate::checkpoint::Values;
use crate::checkpoint::gathering::{Gathered, Gathering, Place, values};

const CHECKSUM: &str = "checksum";
/// Bytes that are read from the device at once: to a GPU in a browser each question is a journey, and a model has a hundred tensors.
const AT_ONCE: usize = 8 << 20;

/// Why a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The place took no more.
    #[error(transparent)]
    Place(#[from] io::Error),
    /// The device gave no numbers.
    #[error("the device failed: {0}")]
    Device(String),
}

/// Writes a checkpoint and returns its bytes.
///
/// # Errors
/// A place that takes no more, a device that failed.
pub(crate) async fn write(header: &Header, gathering: Gathering, events: &[u8], to: &mut dyn Write) -> Result<u64, SaveError> {
    let mut tensors = Vec::with_capacity(gathering.tensors.len() + 2);
    let mut end = 0;
    let mut add = |name: &str, dtype: Dtype, shape: Vec<usize>, bytes: usize| {
        tensors.push((name.to_owned(), TensorInfo { dtype, shape, data_offsets: (end, end + bytes) }));
        end += bytes;
    };
    for Gathered { name, shape, at } in &gathering.tensors {
        let dtype = match at {
            Place::Floats(_) | Place::Host(Values::Floats(_)) => Dtype::F32,
            Place::Integers(_) | Place::Host(Values::Integers(_)) => Dtype::I32,
        };
        add(name, dtype, shape.clone(), size(shape));
    }
    add(EVENTS, Dtype::U8, vec![events.len()], events.len());
    add(CHECKSUM, Dtype::U32, vec![1], 4);
    let metadata = std::iter::once((ENTRY.to_owned(), serde_json::to_string(header).map_err(io::Error::other)?)).collect();
    let head = Metadata::new(Some(metadata), tensors).map_err(|error| io::Error::other(error.to_string()))?;
    let mut head = serde_json::to_vec(&head).map_err(io::Error::other)?;
    // Tensors begin at multiples of eight bytes, as the format asks.
    head.resize(head.len().next_multiple_of(8), b' ');

    let mut to = Checked { to, sum: 0, bytes: 0 };
    to.write_all(&(head.len() as u64).to_le_bytes())?;
    to.write_all(&head)?;
    let mut tensors = gathering.tensors.into_iter().peekable();
    while tensors.peek().is_some() {
        // At least one, however large.
        let (mut asked, mut together, mut bytes) = (Transaction::default(), Vec::new(), 0);
        while let Some(Gathered { shape, at, .. }) = tensors.next_if(|next| bytes == 0 || bytes + size(&next.shape) <= AT_ONCE) {
            bytes += size(&shape);
            match at {
                Place::Host(values) => together.push(Some(values)),
                Place::Floats(ask) | Place::Integers(ask) => {
                    asked = ask(asked);
                    together.push(None);
                }
            }
        }
        let is_asked = together.iter().any(Option::is_none);
        let read = if is_asked { asked.execute_async().await.map_err(|error| SaveError::Device(error.to_string()))? } else { Vec::new() };
        let mut read = read.into_iter();
        for known in together {
            let values = match known {
                Some(values) => values,
                None => values(read.next().ok_or_else(|| SaveError::Device("it gave no numbers".into()))?),
            };
            match &values {
                Values::Floats(values) => to.write_all(bytemuck::cast_slice(values))?,
                Values::Integers(values) => to.write_all(bytemuck::cast_slice(values))?,
            }
        }
    }
    to.write_all(events)?;
    let sum = to.sum;
    to.write_all(&sum.to_le_bytes())?;
    to.to.flush()?;
    Ok(to.bytes)
}

/// Bytes of a tensor.
fn size(shape: &[usize]) -> usize {
    4 * shape.iter().product::<usize>()
}

/// Sums up what is written.
struct Checked<'a> {
    to: &'a mut dyn Write,
    sum: u32,
    bytes: u64,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
