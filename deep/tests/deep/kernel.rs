//! Stage 2 of the compact model, as the proxy runs it in whole numbers, against tract with floats, on the weights of the
//! shipped artefact. They are read here a second time, from the bytes, so that a mistake in reading them is found, too.

use sentinel_model::{
    BUILTIN_MODEL,
    compact::{
        HEADS, Model, Speaker,
        artifact::{Artifact, ENCODER},
        encoder::Scratch,
        tokens::SPEAKERS,
        windows::{PART_TOKENS, parts},
    },
};
use tract_onnx::prelude::{InferenceModelExt as _, IntoRunnable as _, Tensor, tvec};

use crate::{
    CASES,
    graph::{Graph, Name, int, list},
};

/// A section, number by number.
struct Section<'a>(&'a [u8]);

impl Section<'_> {
    fn bytes(&mut self, len: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> usize {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap()) as usize
    }

    fn floats(&mut self, len: usize) -> Vec<f32> {
        self.bytes(4 * len).as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect()
    }

    /// Rows of eight bits, each with what one is worth, in floats.
    fn table(&mut self, rows: usize, width: usize) -> Vec<f32> {
        let worth = self.floats(rows);
        let weights = self.bytes(rows * width);
        weights.iter().enumerate().map(|(at, weight)| f32::from(*weight as i8) * worth[at / width]).collect()
    }

    /// A matrix as [inputs, outputs], and its bias. In the artefact lie four outputs together, pair by pair of inputs.
    fn matrix(&mut self, outputs: usize, inputs: usize) -> (Vec<f32>, Vec<f32>) {
        let (worth, bias) = (self.floats(outputs), self.floats(outputs));
        let weights = self.bytes(outputs * inputs);
        let mut matrix = vec![0.0; outputs * inputs];
        for (at, weight) in weights.iter().enumerate() {
            let (group, in_group) = (at / (4 * inputs), at % (4 * inputs));
            let (pair, in_pair) = (in_group / 8, in_group % 8);
            let (output, input) = (4 * group + in_pair / 2, 2 * pair + in_pair % 2);
            matrix[input * outputs + output] = f32::from(*weight as i8) * worth[output];
        }
        (matrix, bias)
    }
}

/// The same network for another engine, and how many pieces a window has.
struct Written {
    graph: Graph,
    width: usize,
}

impl Written {
    fn floats(&mut self, values: &[f32]) -> Name {
        self.graph.floats(&[values.len()], values)
    }

    fn op(&mut self, kind: &str, inputs: &[&Name]) -> Name {
        self.graph.op(kind, inputs, Vec::new())
    }

    fn norm(&mut self, x: &Name, section: &mut Section<'_>) -> Name {
        let (gain, bias) = (section.floats(self.width), section.floats(self.width));
        let mean = |graph: &mut Graph, x: &Name| {
            graph.op("ReduceMean", &[x], vec![list("axes", &[-1]), int("keepdims", 1)])
        };
        let middle = mean(&mut self.graph, x);
        let centred = self.op("Sub", &[x, &middle]);
        let squares = self.op("Mul", &[&centred, &centred]);
        let variance = mean(&mut self.graph, &squares);
        let epsilon = self.floats(&[1e-5]);
        let variance = self.op("Add", &[&variance, &epsilon]);
        let root = self.op("Sqrt", &[&variance]);
        let normed = self.op("Div", &[&centred, &root]);
        let (gain, bias) = (self.floats(&gain), self.floats(&bias));
        let normed = self.op("Mul", &[&normed, &gain]);
        self.op("Add", &[&normed, &bias])
    }

    fn linear(&mut self, x: &Name, outputs: usize, inputs: usize, section: &mut Section<'_>) -> Name {
        let (matrix, bias) = section.matrix(outputs, inputs);
        let matrix = self.graph.floats(&[inputs, outputs], &matrix);
        let product = self.op("MatMul", &[x, &matrix]);
        let bias = self.floats(&bias);
        self.op("Add", &[&product, &bias])
    }

    /// `x` of [1, tokens, width] as [1, heads, tokens, size], or with the last two changed.
    fn split(&mut self, x: &Name, heads: usize, order: [i64; 4]) -> Name {
        let shape = self.graph.ints(&[0, 0, heads as i64, (self.width / heads) as i64]);
        let split = self.op("Reshape", &[x, &shape]);
        self.graph.op("Transpose", &[&split], vec![list("perm", &order)])
    }

    fn attention(&mut self, x: &Name, heads: usize, section: &mut Section<'_>) -> Name {
        let width = self.width;
        let [query, key, value] = [(); 3].map(|()| self.linear(x, width, width, section));
        let (query, key) = (self.split(&query, heads, [0, 2, 1, 3]), self.split(&key, heads, [0, 2, 3, 1]));
        let value = self.split(&value, heads, [0, 2, 1, 3]);
        let scores = self.op("MatMul", &[&query, &key]);
        let stretch = self.floats(&[1.0 / ((width / heads) as f32).sqrt()]);
        let scores = self.op("Mul", &[&scores, &stretch]);
        let shares = self.graph.op("Softmax", &[&scores], vec![int("axis", -1)]);
        let seen = self.op("MatMul", &[&shares, &value]);
        let seen = self.graph.op("Transpose", &[&seen], vec![list("perm", &[0, 2, 1, 3])]);
        let shape = self.graph.ints(&[0, 0, width as i64]);
        let seen = self.op("Reshape", &[&seen, &shape]);
        self.linear(&seen, width, width, section)
    }
}

/// The encoder of an artefact as an ONNX model for windows of so many tokens.
fn written(section: &[u8], tokens: usize) -> tract_onnx::pb::ModelProto {
    let section = &mut Section(section);
    let [width, layers, heads, ffn, positions, pieces] = [(); 6].map(|()| section.number());
    let mut w = Written { graph: Graph::default(), width };
    let ids = w.graph.input("ids", &[1, tokens]);
    let positions = section.table(positions, width);
    let positions = w.graph.floats(&[1, tokens, width], &positions[..tokens * width]);
    let table = section.table(pieces, width);
    let table = w.graph.floats(&[pieces, width], &table);
    let x = w.graph.op("Gather", &[&table, &ids], vec![int("axis", 0)]);
    let mut x = w.op("Add", &[&x, &positions]);
    for _ in 0..layers {
        let normed = w.norm(&x, section);
        let seen = w.attention(&normed, heads, section);
        x = w.op("Add", &[&x, &seen]);
        let normed = w.norm(&x, section);
        let inner = w.linear(&normed, ffn, width, section);
        let inner = w.op("Relu", &[&inner]);
        let inner = w.linear(&inner, width, ffn, section);
        x = w.op("Add", &[&x, &inner]);
    }
    let x = w.norm(&x, section);
    let over_tokens = || vec![list("axes", &[1]), int("keepdims", 0)];
    let mean = w.graph.op("ReduceMean", &[&x], over_tokens());
    let most = w.graph.op("ReduceMax", &[&x], over_tokens());
    let pooled = w.graph.op("Concat", &[&mean, &most], vec![int("axis", -1)]);
    let head = section.floats(HEADS * 2 * width);
    let head = w.graph.floats(&[HEADS, 2 * width], &head);
    let head = w.graph.op("Transpose", &[&head], vec![list("perm", &[1, 0])]);
    let product = w.op("MatMul", &[&pooled, &head]);
    let bias = section.floats(HEADS);
    let bias = w.floats(&bias);
    let logits = w.op("Add", &[&product, &bias]);
    assert!(section.0.is_empty(), "{} bytes of the encoder were not read", section.0.len());
    w.graph.model(&logits, &[1, HEADS])
}

/// Activations have twelve bits in the kernel, and shares of attention too; so a logit moves by less than this.
const TOLERANCE: f32 = 0.02;
const TOLERANCE_MEAN: f32 = 0.002;

#[test]
fn the_kernel_of_stage_2_comes_to_what_tract_makes_of_the_same_weights() {
    let artifact = Artifact::open(BUILTIN_MODEL).unwrap();
    let section = artifact.section(ENCODER).unwrap();
    let (vocabulary, encoder) = Model::open(BUILTIN_MODEL).unwrap().encoder.unwrap();
    let mut scratch = Scratch::new(&encoder);
    // A plan is made for one length; so windows of like length come together.
    let mut windows: Vec<(Speaker, Vec<u16>)> = Vec::new();
    for case in CASES.iter() {
        let ids: Vec<u16> = vocabulary.pieces(&case.text).map(|piece| piece.id).collect();
        windows.extend(parts(ids.len()).map(|part| (case.speaker(), ids[part].to_vec())));
    }
    windows.sort_by_key(|(_, ids)| ids.len());
    assert!(windows.len() > 300 && windows.last().unwrap().1.len() == PART_TOKENS);
    let (mut differences, mut largest_logit) = (Vec::new(), 0_f32);
    for windows in windows.chunk_by(|(_, a), (_, b)| a.len() == b.len()) {
        let tokens = windows[0].1.len() + 1;
        let model = written(section, tokens);
        let plan = tract_onnx::onnx().parse(&model, None).unwrap().model.into_optimized().unwrap();
        let plan = plan.into_runnable().unwrap();
        for (speaker, ids) in windows {
            let ours = encoder.logits_of(*speaker, ids.iter().copied(), &mut scratch);
            let first = SPEAKERS + speaker.index() as u16;
            let ids: Vec<i64> = std::iter::once(first).chain(ids.iter().copied()).map(i64::from).collect();
            let theirs = plan.run(tvec!(Tensor::from_shape(&[1, tokens], &ids).unwrap().into())).unwrap();
            let theirs = theirs[0].to_plain_array_view::<f32>().unwrap();
            for (ours, theirs) in ours.iter().zip(theirs.iter()) {
                differences.push((ours - theirs).abs());
                largest_logit = largest_logit.max(theirs.abs());
            }
        }
    }
    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
    let most = differences.iter().copied().fold(0.0, f32::max);
    println!(
        "{} windows: mean difference {mean:.5}, largest {most:.5}, of logits up to {largest_logit:.1}",
        windows.len()
    );
    assert!(largest_logit > 2.0, "the weights say nothing");
    assert!(most < TOLERANCE && mean < TOLERANCE_MEAN, "mean {mean}, largest {most}");
}
