//! Sanity row: the ranker widened to DUIA's number of dense parameters, with a vector of its own for each user. A gain that comes
//! from more parameters alone is none.

use crate::data::Side;
use crate::model::component::{Adds, Component, Features, Found, Kind, Reads, Takes};
use crate::model::export::{self, NoNodes};
use crate::model::layers::ple::PleSizes;
use crate::model::layers::table::{PersonalTable, WITH_MOMENTS};
use crate::onnx::Graph;
use crate::variants::Variant;

/// The wider ranker.
pub static KINDS: [Kind; 1] = [Kind {
    adds: |config| Adds { request: config.memory_width(), ..Adds::default() },
    sizes: widened,
    takes: |config| Takes::of_each(Side::Users, WITH_MOMENTS * config.memory_width()),
    ..Kind::new("wide", |building| Box::new(Wide { users: building.personal(Side::Users) }))
}];

/// The sizes widened by sixteenths until a ranker over so many inputs has at least as many parameters as DUIA.
fn widened(sizes: PleSizes, inputs: usize, parameters_of: &dyn Fn(Variant) -> usize) -> PleSizes {
    let wanted = parameters_of(Variant::Duia);
    (16..).map(|sixteenths| sizes.scaled(sixteenths)).find(|sizes| sizes.parameters(inputs) >= wanted).unwrap_or(sizes)
}

struct Wide {
    users: PersonalTable,
}

impl Component for Wide {
    fn table(&self) -> Option<&PersonalTable> {
        Some(&self.users)
    }

    fn table_mut(&mut self) -> Option<&mut PersonalTable> {
        Some(&mut self.users)
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        features.request.extend(reads.leaves.own(self.users.name()).cloned());
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        _found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let rows = graph.parameter(&format!("{}.weight", self.users.name()));
        features.request.push(reads.of_members(graph, Side::Users, &rows));
        Ok(())
    }
}
