//! Graphs in the format of ONNX (operator set 17): nodes, the numbers that they hold, and a file of both.
//!
//! What a component computes is said by the component itself, node by node ([`crate::model::export`]). Here is only what any graph is
//! made of. Numbers stay in the arrays that they were read back in: a table of gigabytes is neither copied into a node nor into a
//! message of the file.

mod proto;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::Range;

use proto::{Kind, Message};

use crate::checkpoint::{Array, Arrays, Values};

/// The operator set that the nodes are of.
const OPERATORS: u64 = 17;
/// The version of the format that came with it.
const FORMAT: u64 = 8;
/// Bytes from which on a graph does not fit in one file: a message of the format ends at two gigabytes.
pub const MOST: u64 = (1 << 31) - (1 << 20);
/// Numbers of fewer bytes stay in the graph's own file.
const SMALL: usize = 1 << 10;
/// Where numbers in a file of their own begin: at whole pages, so that they can be mapped.
const PAGE: u64 = 1 << 12;
/// The logit of what does not count. `exp` of it is 0 in f32, and where nothing counts it makes no NaN, as an infinity would.
pub const HIDDEN: f32 = -1e9;

/// What a node gives: the name of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

/// A length of an axis of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Always the same.
    Fixed(usize),
    /// Another one whenever the graph runs, by its name.
    Any(&'static str),
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: &'static str,
    /// Its axes.
    pub shape: Vec<Length>,
    /// What it is, for whoever looks at the file.
    pub about: &'static str,
}

/// A graph that is being built, and at last written.
#[derive(Default)]
pub struct Graph {
    arrays: Arrays,
    nodes: Vec<Node>,
    held: BTreeMap<String, Held>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// What the names of new nodes begin with.
    scope: String,
    /// The first tensor that was asked for and is not there.
    missing: Option<String>,
}

struct Node {
    operator: &'static str,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<(&'static str, Attribute)>,
}

enum Attribute {
    Integer(i64),
    Integers(Vec<i64>),
}

/// A tensor that the graph holds.
struct Held {
    shape: Vec<usize>,
    numbers: Numbers,
}

enum Numbers {
    /// A part of an array.
    Part {
        array: String,
        range: Range<usize>,
    },
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// What a file says of itself.
pub struct About<'a> {
    /// The graph's name.
    pub name: &'a str,
    /// A sentence.
    pub text: &'a str,
    /// The version of the model.
    pub version: u64,
    /// Further entries.
    pub entries: &'a [(&'a str, String)],
}

impl Graph {
    /// Nodes over these arrays.
    pub fn over(arrays: Arrays) -> Self {
        Self { arrays, ..Self::default() }
    }

    /// What the names of nodes from here on begin with.
    pub fn scope(&mut self, scope: &str) {
        self.scope = scope.into();
    }

    /// An input of integers.
    pub fn input(&mut self, name: &'static str, shape: &[Length], about: &'static str) -> Value {
        self.inputs.push(Port { name, shape: shape.to_vec(), about });
        Value(name.into())
    }

    /// An output of floats.
    pub fn output(&mut self, value: &Value, name: &'static str, shape: &[Length], about: &'static str) {
        self.outputs.push(Port { name, shape: shape.to_vec(), about });
        self.push("Identity", &[value], vec![name.into()], vec![]);
    }

    /// The inputs that something reads.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The outputs.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// A whole array.
    pub fn parameter(&mut self, name: &str) -> Value {
        let Some(array) = self.array(name) else { return self.lacks(name) };
        let (shape, range) = (array.shape.clone(), 0..array.shape.iter().product());
        self.hold(name.into(), shape, Numbers::Part { array: name.into(), range })
    }

    /// One of an array's stack: that of `index` along the first axis.
    pub fn layer(&mut self, name: &str, index: usize) -> Value {
        let Some(array) = self.array(name) else { return self.lacks(name) };
        let shape = array.shape[1..].to_vec();
        let length: usize = shape.iter().product();
        self.hold(format!("{name}.{index}"), shape, Numbers::Part { array: name.into(), range: index * length..(index + 1) * length })
    }

    /// Some rows of an array under a name of their own.
    pub fn rows(&mut self, array: &str, rows: Range<usize>, name: &str) -> Value {
        let Some(whole) = self.array(array) else { return self.lacks(array) };
        let shape = [&[rows.len()], &whole.shape[1..]].concat();
        let length: usize = shape[1..].iter().product();
        self.hold(name.into(), shape, Numbers::Part { array: array.into(), range: rows.start * length..rows.end * length })
    }

    /// The numbers of an array of floats; none where there is no such array.
    pub fn floats(&mut self, name: &str) -> Vec<f32> {
        match self.array(name).and_then(Array::as_floats) {
            Some(floats) => floats.to_vec(),
            None => {
                self.lacks(name);
                Vec::new()
            }
        }
    }

    /// Numbers of the caller's own.
    pub fn constant(&mut self, name: &str, values: Vec<f32>, shape: &[usize]) -> Value {
        self.hold(name.into(), shape.to_vec(), Numbers::Floats(values))
    }

    /// 32-bit integers of the caller's own.
    pub fn table(&mut self, name: &str, values: Vec<i32>, shape: &[usize]) -> Value {
        self.arrays.insert(name.into(), Array { shape: shape.to_vec(), values: Values::Integers(values) });
        self.parameter(name)
    }

    /// A number.
    pub fn number(&mut self, number: f32) -> Value {
        self.hold(format!("number {number:e}"), vec![], Numbers::Floats(vec![number]))
    }

    /// Integers in a row.
    pub fn integers(&mut self, integers: &[i64]) -> Value {
        self.hold(format!("integers {integers:?}"), vec![integers.len()], Numbers::Integers(integers.to_vec()))
    }

    /// An integer.
    pub fn integer(&mut self, integer: i64) -> Value {
        self.hold(format!("integer {integer}"), vec![], Numbers::Integers(vec![integer]))
    }

    /// The integers of an array; none where there is no such array.
    pub fn ids(&mut self, name: &str) -> Vec<i32> {
        match self.array(name).map(|array| &array.values) {
            Some(Values::Integers(ids)) => ids.clone(),
            _ => {
                self.lacks(name);
                Vec::new()
            }
        }
    }

    fn array(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// Remembers what is not there. The graph goes on as if it were, and is refused at its end.
    fn lacks(&mut self, name: &str) -> Value {
        self.missing.get_or_insert_with(|| name.into());
        Value(name.into())
    }

    fn hold(&mut self, name: String, shape: Vec<usize>, numbers: Numbers) -> Value {
        self.held.entry(name.clone()).or_insert(Held { shape, numbers });
        Value(name)
    }

    fn push(&mut self, operator: &'static str, inputs: &[&Value], outputs: Vec<String>, attributes: Vec<(&'static str, Attribute)>) {
        let inputs = inputs.iter().map(|value| value.0.clone()).collect();
        self.nodes.push(Node { operator, inputs, outputs, attributes });
    }

    fn node(&mut self, operator: &'static str, inputs: &[&Value], attributes: Vec<(&'static str, Attribute)>) -> Value {
        let name = format!("{}/{}.{operator}", self.scope, self.nodes.len());
        self.push(operator, inputs, vec![name.clone()], attributes);
        Value(name)
    }

    /// Keeps what leads to the outputs, and nothing else.
    ///
    /// # Errors
    /// The name of a tensor that a node wants and that is not there.
    pub fn finish(mut self) -> Result<Self, String> {
        if let Some(missing) = self.missing.take() {
            return Err(missing);
        }
        let mut wanted: BTreeSet<String> = self.outputs.iter().map(|output| output.name.into()).collect();
        let mut kept = Vec::new();
        for node in self.nodes.drain(..).rev() {
            if node.outputs.iter().any(|output| wanted.contains(output)) {
                wanted.extend(node.inputs.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        self.inputs.retain(|input| wanted.contains(input.name));
        self.held.retain(|name, _| wanted.contains(name));
        Ok(self)
    }
}

/// Operators. Shapes broadcast as NumPy's do; a negative axis counts from the last.
impl Graph {
    /// `a + b`
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a, b], vec![])
    }

    /// `a - b`
    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Sub", &[a, b], vec![])
    }

    /// `a b`, element by element.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Mul", &[a, b], vec![])
    }

    /// `a / b`; of integers without the rest.
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Div", &[a, b], vec![])
    }

    /// The larger of both.
    pub fn max(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Max", &[a, b], vec![])
    }

    /// The smaller of both.
    pub fn min(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Min", &[a, b], vec![])
    }

    /// `a` times a number.
    pub fn times(&mut self, a: &Value, number: f32) -> Value {
        let number = self.number(number);
        self.mul(a, &number)
    }

    /// `a` and a number.
    pub fn plus(&mut self, a: &Value, number: f32) -> Value {
        let number = self.number(number);
        self.add(a, &number)
    }

    /// Zeros in the shape of `a`, which is finite.
    pub fn zeros_like(&mut self, a: &Value) -> Value {
        self.times(a, 0.0)
    }

    /// The matrix product of the last two axes.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a, b], vec![])
    }

    /// `max(a, 0)`
    pub fn relu(&mut self, a: &Value) -> Value {
        self.node("Relu", &[a], vec![])
    }

    /// `1 / (1 + exp(-a))`
    pub fn sigmoid(&mut self, a: &Value) -> Value {
        self.node("Sigmoid", &[a], vec![])
    }

    /// The square root.
    pub fn sqrt(&mut self, a: &Value) -> Value {
        self.node("Sqrt", &[a], vec![])
    }

    /// The natural logarithm.
    pub fn log(&mut self, a: &Value) -> Value {
        self.node("Log", &[a], vec![])
    }

    /// The softmax over the last axis.
    pub fn softmax(&mut self, a: &Value) -> Value {
        self.node("Softmax", &[a], vec![("axis", Attribute::Integer(-1))])
    }

    /// Where the largest of the last axis is, which goes; the first where several are.
    pub fn argmax(&mut self, a: &Value) -> Value {
        self.node("ArgMax", &[a], vec![("axis", Attribute::Integer(-1)), ("keepdims", Attribute::Integer(0))])
    }

    /// The sum over an axis, which stays with a length of 1.
    pub fn sum(&mut self, a: &Value, axis: i64) -> Value {
        let axes = self.integers(&[axis]);
        self.node("ReduceSum", &[a, &axes], vec![("keepdims", Attribute::Integer(1))])
    }

    /// The sum of `a b` over the last axis, which stays with a length of 1.
    pub fn dot(&mut self, a: &Value, b: &Value) -> Value {
        let product = self.mul(a, b);
        self.sum(&product, -1)
    }

    /// Rows of a table, by ids.
    pub fn gather(&mut self, table: &Value, ids: &Value) -> Value {
        self.node("Gather", &[table, ids], vec![("axis", Attribute::Integer(0))])
    }

    /// Integers out of a table of 32-bit ones, by ids.
    pub fn gather_ids(&mut self, table: &Value, ids: &Value) -> Value {
        let found = self.gather(table, ids);
        self.cast(&found, Kind::Integer)
    }

    /// Side by side along the last axis; one alone is itself.
    pub fn concat(&mut self, values: &[Value]) -> Value {
        match values {
            [only] => only.clone(),
            all => self.node("Concat", &all.iter().collect::<Vec<_>>(), vec![("axis", Attribute::Integer(-1))]),
        }
    }

    /// The last axis in parts of these lengths.
    pub fn split(&mut self, a: &Value, lengths: &[usize]) -> Vec<Value> {
        let sizes = self.integers(&lengths.iter().map(|&length| length as i64).collect::<Vec<_>>());
        let at = self.nodes.len();
        let outputs: Vec<String> = (0..lengths.len()).map(|part| format!("{}/{at}.Split.{part}", self.scope)).collect();
        self.push("Split", &[a, &sizes], outputs.clone(), vec![("axis", Attribute::Integer(-1))]);
        outputs.into_iter().map(Value).collect()
    }

    /// The first of an axis, which stays with a length of 1.
    pub fn first(&mut self, a: &Value, axis: i64) -> Value {
        let [from, to, axis] = [0, 1, axis].map(|number| self.integers(&[number]));
        self.node("Slice", &[a, &from, &to, &axis], vec![])
    }

    /// A new axis of length 1.
    pub fn unsqueeze(&mut self, a: &Value, axis: i64) -> Value {
        let axes = self.integers(&[axis]);
        self.node("Unsqueeze", &[a, &axes], vec![])
    }

    /// Without an axis of length 1.
    pub fn squeeze(&mut self, a: &Value, axis: i64) -> Value {
        let axes = self.integers(&[axis]);
        self.node("Squeeze", &[a, &axes], vec![])
    }

    /// In another shape; 0 keeps the length of an axis, -1 takes what is left.
    pub fn reshape(&mut self, a: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.node("Reshape", &[a, &shape], vec![])
    }

    /// The axes in another order.
    pub fn transpose(&mut self, a: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[a], vec![("perm", Attribute::Integers(order.to_vec()))])
    }

    /// `a` where `condition` is, else `b`.
    pub fn choose(&mut self, condition: &Value, a: &Value, b: &Value) -> Value {
        self.node("Where", &[condition, a, b], vec![])
    }

    /// Whether `a < b`.
    pub fn is_less(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Less", &[a, b], vec![])
    }

    /// Whether `a >= b`.
    pub fn is_at_least(&mut self, a: &Value, b: &Value) -> Value {
        self.node("GreaterOrEqual", &[a, b], vec![])
    }

    /// Whether `a = b`.
    pub fn is_equal(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Equal", &[a, b], vec![])
    }

    /// 1 where a condition is, else 0; integers as floats.
    pub fn float(&mut self, a: &Value) -> Value {
        self.cast(a, Kind::Float)
    }

    /// Conditions and floats as integers.
    pub fn whole(&mut self, a: &Value) -> Value {
        self.cast(a, Kind::Integer)
    }

    fn cast(&mut self, a: &Value, to: Kind) -> Value {
        self.node("Cast", &[a], vec![("to", Attribute::Integer(to as i64))])
    }

    /// 1 where an id is one, 0 where it is negative: there is none.
    pub fn known(&mut self, ids: &Value) -> Value {
        let none = self.integer(0);
        let known = self.is_at_least(ids, &none);
        self.float(&known)
    }

    /// Ids with 0 in the place of negative ones, to look up what [`Graph::known`] then takes out.
    pub fn looked_up(&mut self, ids: &Value) -> Value {
        let none = self.integer(0);
        self.max(ids, &none)
    }
}

/// The file.
impl Graph {
    /// Bytes of the numbers that it holds.
    pub fn bytes(&self) -> u64 {
        self.held.values().map(|held| self.bytes_of(held).len() as u64).sum()
    }

    /// Writes it all into one file.
    ///
    /// # Errors
    /// Those of the file. A graph of [`MOST`] bytes or more does not fit.
    pub fn write(&self, about: &About<'_>, into: &mut dyn Write) -> io::Result<()> {
        if self.bytes() >= MOST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "ONNX ends at two gigabytes: write the numbers into a file of their own",
            ));
        }
        let heads: Vec<Message> = self.held.iter().map(|(name, held)| self.head(name, held)).collect();
        let length = heads.iter().zip(self.held.values()).map(|(head, held)| {
            let numbers = self.bytes_of(held).len();
            proto::inside(proto::INITIALIZER, head.len() + proto::inside(proto::RAW, numbers))
        });
        let graph = self.skeleton(about);
        into.write_all(&self.model(about, graph.len() + length.sum::<usize>()))?;
        into.write_all(&graph)?;
        for (head, held) in heads.iter().zip(self.held.values()) {
            let numbers = self.bytes_of(held);
            into.write_all(&proto::opening(proto::INITIALIZER, head.len() + proto::inside(proto::RAW, numbers.len())))?;
            into.write_all(head)?;
            into.write_all(&proto::opening(proto::RAW, numbers.len()))?;
            into.write_all(numbers)?;
        }
        Ok(())
    }

    /// Writes the graph into one file, and its numbers into another that will lie beside it under the name `beside`: of any size, and
    /// mapped into memory by whoever runs it.
    ///
    /// # Errors
    /// Those of the files.
    pub fn write_in_two(&self, about: &About<'_>, into: &mut dyn Write, numbers: &mut dyn Write, beside: &str) -> io::Result<()> {
        let (mut graph, mut at) = (self.skeleton(about), 0u64);
        for (name, held) in &self.held {
            let (mut head, bytes) = (self.head(name, held), self.bytes_of(held));
            if bytes.len() < SMALL {
                head.bytes(proto::RAW, bytes);
            } else {
                let start = at.next_multiple_of(PAGE);
                numbers.write_all(&vec![0; (start - at) as usize])?;
                numbers.write_all(bytes)?;
                at = start + bytes.len() as u64;
                proto::lies_beside(&mut head, beside, start, bytes.len());
            }
            graph.message(proto::INITIALIZER, &head);
        }
        into.write_all(&self.model(about, graph.len()))?;
        into.write_all(&graph)
    }

    fn bytes_of<'a>(&'a self, held: &'a Held) -> &'a [u8] {
        match &held.numbers {
            Numbers::Floats(values) => bytemuck::cast_slice(values),
            Numbers::Integers(values) => bytemuck::cast_slice(values),
            Numbers::Part { array, range } => match &self.arrays[array].values {
                Values::Floats(values) => bytemuck::cast_slice(&values[range.clone()]),
                Values::Integers(values) => bytemuck::cast_slice(&values[range.clone()]),
            },
        }
    }

    /// A tensor without its numbers.
    fn head(&self, name: &str, held: &Held) -> Message {
        let kind = match &held.numbers {
            Numbers::Floats(_) => Kind::Float,
            Numbers::Integers(_) => Kind::Integer,
            Numbers::Part { array, .. } => match &self.arrays[array].values {
                Values::Floats(_) => Kind::Float,
                Values::Integers(_) => Kind::Short,
            },
        };
        proto::tensor(name, &held.shape, kind)
    }

    /// The graph without what it holds.
    fn skeleton(&self, about: &About<'_>) -> Message {
        let mut graph = Message::default();
        for node in &self.nodes {
            graph.message(proto::NODE, &proto::node(node));
        }
        graph.text(proto::GRAPH_NAME, about.name);
        self.inputs.iter().for_each(|port| graph.message(proto::INPUT, &proto::port(port, Kind::Integer)));
        self.outputs.iter().for_each(|port| graph.message(proto::OUTPUT, &proto::port(port, Kind::Float)));
        graph
    }

    /// All that stands before a graph of so many bytes.
    fn model(&self, about: &About<'_>, graph: usize) -> Message {
        let mut model = proto::model(about, FORMAT, OPERATORS);
        model.extend(&proto::opening(proto::GRAPH, graph));
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let table = Array::floats((0..2_048).map(|x| x as f32).collect(), &[512, 4]);
        let mut graph = Graph::over(Arrays::from([("table".to_string(), table)]));
        let ids = graph.input("ids", &[Length::Any("n")], "rows");
        graph.input("unread", &[Length::Any("n")], "nobody's");
        let rows = graph.parameter("table");
        let found = graph.gather(&rows, &ids);
        graph.times(&found, 3.0);
        let doubled = graph.times(&found, 2.0);
        graph.output(&doubled, "doubled", &[Length::Any("n"), Length::Fixed(4)], "twice");
        graph
    }

    const ABOUT: About<'static> = About { name: "test", text: "a test", version: 3, entries: &[] };

    #[test]
    fn what_leads_to_no_output_is_left_out() {
        let graph = graph().finish().ok().unwrap();
        assert_eq!(graph.inputs().iter().map(|port| port.name).collect::<Vec<_>>(), ["ids"]);
        assert_eq!(graph.nodes.iter().map(|node| node.operator).collect::<Vec<_>>(), ["Gather", "Mul", "Identity"]);
        assert_eq!(graph.held.keys().collect::<Vec<_>>(), ["number 2e0", "table"]);
    }

    #[test]
    fn a_tensor_that_is_not_there_is_named() {
        let mut graph = graph();
        graph.layer("network.ple", 1);
        graph.parameter("other");
        assert_eq!(graph.finish().err().unwrap(), "network.ple");
    }

    /// The lengths that stand before messages are those of what follows, and the same numbers come out in one file or in two.
    #[test]
    fn the_bytes_are_messages_within_messages() {
        let graph = graph().finish().ok().unwrap();
        let (mut one, mut two, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        graph.write(&ABOUT, &mut one).unwrap();
        graph.write_in_two(&ABOUT, &mut two, &mut numbers, "numbers").unwrap();
        let tensors = |file: &[u8]| -> Vec<Vec<(u64, Vec<u8>)>> {
            let model = proto::fields(file);
            let graph = &model.iter().find(|(field, _)| *field == proto::GRAPH).unwrap().1;
            proto::fields(graph)
                .into_iter()
                .filter(|(field, _)| *field == proto::INITIALIZER)
                .map(|(_, bytes)| proto::fields(&bytes))
                .collect()
        };
        let raw = |tensor: &[(u64, Vec<u8>)]| tensor.iter().find(|(field, _)| *field == proto::RAW).map(|(_, bytes)| bytes.clone());
        let (one, two) = (tensors(&one), tensors(&two));
        assert_eq!((one.len(), two.len()), (2, 2));
        assert_eq!(raw(&one[0]).unwrap(), 2.0f32.to_le_bytes());
        assert_eq!((raw(&one[0]), raw(&two[1])), (raw(&two[0]), None));
        assert_eq!((raw(&one[1]).unwrap(), numbers.len()), (numbers, 8_192));
    }
}
