//! Just enough of a writer of ONNX graphs to give a network to another engine.

use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto,
    type_proto,
};

#[derive(Default)]
pub(crate) struct Graph(GraphProto, usize);

/// The name of what a node puts out, or of a constant.
pub(crate) type Name = String;

impl Graph {
    fn name(&mut self) -> Name {
        self.1 += 1;
        format!("v{}", self.1)
    }

    pub(crate) fn input(&mut self, name: &str, shape: &[usize]) -> Name {
        self.0.input.push(value_info(name, DataType::Int64, shape));
        name.to_owned()
    }

    pub(crate) fn floats(&mut self, shape: &[usize], values: &[f32]) -> Name {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(shape, DataType::Float, raw)
    }

    pub(crate) fn ints(&mut self, values: &[i64]) -> Name {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&[values.len()], DataType::Int64, raw)
    }

    fn constant(&mut self, shape: &[usize], kind: DataType, raw_data: Vec<u8>) -> Name {
        let name = self.name();
        let dims = shape.iter().map(|len| *len as i64).collect();
        let tensor =
            TensorProto { name: name.clone(), dims, data_type: kind as i32, raw_data, ..Default::default() };
        self.0.initializer.push(tensor);
        name
    }

    pub(crate) fn op(&mut self, kind: &str, inputs: &[&Name], attributes: Vec<AttributeProto>) -> Name {
        let name = self.name();
        self.0.node.push(NodeProto {
            input: inputs.iter().map(|input| (*input).clone()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: kind.to_owned(),
            attribute: attributes,
            ..Default::default()
        });
        name
    }

    pub(crate) fn model(mut self, output: &Name, shape: &[usize]) -> ModelProto {
        self.0.output.push(value_info(output, DataType::Float, shape));
        self.0.name = "compact".to_owned();
        let operators = OperatorSetIdProto { domain: String::new(), version: 13 };
        ModelProto { ir_version: 8, opset_import: vec![operators], graph: Some(self.0), ..Default::default() }
    }
}

pub(crate) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: AttributeType::Int as i32, i, ..Default::default() }
}

pub(crate) fn list(name: &str, ints: &[i64]) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    AttributeProto { name: name.to_owned(), r#type, ints: ints.to_vec(), ..Default::default() }
}

fn value_info(name: &str, kind: DataType, shape: &[usize]) -> ValueInfoProto {
    let dim = |len: &usize| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(*len as i64)),
        ..Default::default()
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape: Some(shape) };
    let value = Some(type_proto::Value::TensorType(tensor));
    let r#type = Some(TypeProto { value, ..Default::default() });
    ValueInfoProto { name: name.to_owned(), r#type, ..Default::default() }
}
