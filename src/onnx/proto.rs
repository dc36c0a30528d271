//! The dozen messages of ONNX that a graph takes, in the wire format of Protocol Buffers: tags, lengths and varints.
//!
//! By hand, because the crates that have the messages hold a whole model in them, tables included, or are of an old operator set; of a
//! writer alone nothing more than this is left.

use std::ops::Deref;

use super::{About, Attribute, Length, Node, Port};

/// Fields of a model, of a graph and of a tensor.
pub const GRAPH: u64 = 7;
pub const NODE: u64 = 1;
pub const GRAPH_NAME: u64 = 2;
pub const INITIALIZER: u64 = 5;
pub const INPUT: u64 = 11;
pub const OUTPUT: u64 = 12;
pub const RAW: u64 = 9;

/// What the numbers of a tensor are.
#[derive(Clone, Copy)]
pub enum Kind {
    /// 32-bit floats.
    Float = 1,
    /// 32-bit integers.
    Short = 6,
    /// 64-bit integers.
    Integer = 7,
}

/// The bytes of a message.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Bytes as they are.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A field of an integer, a negative one in two's complement.
    pub fn integer(&mut self, field: u64, value: i64) {
        self.varint(field << 3);
        self.varint(value as u64);
    }

    /// A field of bytes.
    pub fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.extend(&opening(field, bytes.len()));
        self.extend(bytes);
    }

    /// A field of text.
    pub fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A field that is a message.
    pub fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, message);
    }
}

/// What stands before the bytes of a field.
pub fn opening(field: u64, length: usize) -> Message {
    let mut opening = Message::default();
    opening.varint(field << 3 | 2);
    opening.varint(length as u64);
    opening
}

/// Bytes of a field with so many inside.
pub fn inside(field: u64, length: usize) -> usize {
    opening(field, length).len() + length
}

/// A model without its graph.
pub fn model(about: &About<'_>, format: u64, operators: u64) -> Message {
    let (mut model, mut set) = (Message::default(), Message::default());
    model.integer(1, format as i64);
    model.text(2, env!("CARGO_PKG_NAME"));
    model.text(3, env!("CARGO_PKG_VERSION"));
    model.integer(5, about.version as i64);
    model.text(6, about.text);
    // The standard's own operators have the empty name.
    set.text(1, "");
    set.integer(2, operators as i64);
    model.message(8, &set);
    about.entries.iter().for_each(|(key, value)| model.message(14, &entry(key, value)));
    model
}

fn entry(key: &str, value: &str) -> Message {
    let mut entry = Message::default();
    entry.text(1, key);
    entry.text(2, value);
    entry
}

/// A node.
pub fn node(node: &Node) -> Message {
    let mut message = Message::default();
    node.inputs.iter().for_each(|input| message.text(1, input));
    node.outputs.iter().for_each(|output| message.text(2, output));
    message.text(3, &node.outputs[0]);
    message.text(4, node.operator);
    node.attributes.iter().for_each(|(name, value)| message.message(5, &attribute(name, value)));
    message
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    match value {
        Attribute::Integer(value) => {
            message.integer(3, *value);
            message.integer(20, 2);
        }
        Attribute::Integers(values) => {
            values.iter().for_each(|value| message.integer(8, *value));
            message.integer(20, 7);
        }
    }
    message
}

/// An input or an output.
pub fn port(port: &Port, kind: Kind) -> Message {
    let (mut shape, mut tensor, mut of_kind, mut message) =
        (Message::default(), Message::default(), Message::default(), Message::default());
    for length in &port.shape {
        let mut axis = Message::default();
        match length {
            Length::Fixed(length) => axis.integer(1, *length as i64),
            Length::Any(name) => axis.text(2, name),
        }
        shape.message(1, &axis);
    }
    tensor.integer(1, kind as i64);
    tensor.message(2, &shape);
    of_kind.message(1, &tensor);
    message.text(1, port.name);
    message.message(2, &of_kind);
    message.text(3, port.about);
    message
}

/// A tensor without its numbers.
pub fn tensor(name: &str, shape: &[usize], kind: Kind) -> Message {
    let mut message = Message::default();
    shape.iter().for_each(|&length| message.integer(1, length as i64));
    message.integer(2, kind as i64);
    message.text(8, name);
    message
}

/// Says that the numbers of a tensor are so many bytes of another file.
pub fn lies_beside(tensor: &mut Message, file: &str, start: u64, length: usize) {
    for (key, value) in [("location", file.to_owned()), ("offset", start.to_string()), ("length", length.to_string())] {
        tensor.message(13, &entry(key, &value));
    }
    tensor.integer(14, 1);
}

/// The fields of a message: their bytes, or those of an integer.
#[cfg(test)]
pub fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut at) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first().expect("a whole varint");
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << at;
            at += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                value.to_vec()
            }
            other => panic!("no field of ONNX that is written has the form {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}
