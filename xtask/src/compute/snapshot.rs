//! A program as it is once it has prepared itself: run here, and its memory written into the module. What all instances would
//! build at their start, they then find there.
//!
//! Whatever the program would ask its host meanwhile is an error, so nothing of this machine can be in the result: no time, no
//! chance, no environment.

use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context as Polling, Poll, Waker},
};

use wasmtime::{Engine, Instance, Linker, Module, Result, Store, Val, ensure, error::Context};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

/// The program exports it for this alone, and answers 1.
const PREPARE: &str = "sentinel-prepare";
/// Memory that is mostly zeros is mapped from one image for all instances where it is no larger than that. Beyond it, wasmtime
/// copies it for each of them.
const IMAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) fn of(program: &[u8]) -> anyhow::Result<Vec<u8>> {
    // wasmtime's errors are not `std` errors; `{:?}` has the causes and the wasm backtrace.
    taken(program).map_err(|error| anyhow::anyhow!("no snapshot of the program: {error:?}"))
}

fn taken(program: &[u8]) -> Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    wizer.init_func(PREPARE);
    let (context, instrumented) = wizer.instrument(program)?;
    let mut prepared = Prepared::run(&instrumented)?;
    at_once(wizer.snapshot(&context, &mut prepared))?
}

struct Prepared {
    store: Store<()>,
    instance: Instance,
}

impl Prepared {
    fn run(program: &[u8]) -> Result<Self> {
        let engine = Engine::default();
        let module = Module::new(&engine, program)?;
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&module)?;
        let instance = linker.instantiate(&mut store, &module)?;
        let prepare = instance.get_typed_func::<(), i32>(&mut store, PREPARE)?;
        let answer = prepare.call(&mut store, ()).context("it cannot prepare itself without a host")?;
        ensure!(answer == 1, "its rules or its model are broken; see: cargo xtask test sentinel-core");
        let memory = instance.get_memory(&mut store, "memory").context("it exports no memory")?;
        let last = memory.data(&store).iter().rposition(|byte| *byte != 0).unwrap_or_default();
        ensure!(
            last < IMAGE_BYTES_MAX,
            "its memory is used up to byte {last}, expected less than {IMAGE_BYTES_MAX}"
        );
        Ok(Self { store, instance })
    }
}

impl InstanceState for Prepared {
    #[expect(
        clippy::panic,
        reason = "the trait asks for it; names and types are those of the snapshot itself"
    )]
    fn global_get(&mut self, name: &str, _: ValType) -> impl Future<Output = SnapshotVal> + Send {
        let value = self.instance.get_global(&mut self.store, name).map(|global| global.get(&mut self.store));
        ready(match value {
            Some(Val::I32(value)) => SnapshotVal::I32(value),
            Some(Val::I64(value)) => SnapshotVal::I64(value),
            Some(Val::F32(value)) => SnapshotVal::F32(value),
            Some(Val::F64(value)) => SnapshotVal::F64(value),
            other => panic!("no snapshot of the global {name}: {other:?}"),
        })
    }

    #[expect(clippy::panic, reason = "as above")]
    fn memory_contents(
        &mut self,
        name: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) -> impl Future<Output = ()> + Send {
        match self.instance.get_memory(&mut self.store, name) {
            Some(memory) => contents(memory.data(&self.store)),
            None => panic!("no memory {name}"),
        }
        ready(())
    }
}

/// The result of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Polling::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => Err(wasmtime::format_err!("it waits for something")),
    }
}
