//! The model, one file a part, each equation of the paper in the file of its name:
//!
//! | file | part | paper |
//! | --- | --- | --- |
//! | [`ple`] | the ranker: experts, gates, towers | 4.1, reference 18 |
//! | [`auxiliary`] | user tower and item tower | 4.2, Eq. 1 |
//! | [`ghca`] | centres, search, mean step, re-seeding; of users and of items | 4.2 and 4.4, Eq. 2-5, 11-14 |
//! | [`uie`] | what the nearest centres lend | 4.2, Eq. 6 |
//! | [`upbe`] | memories of positive behaviours | 4.3, Eq. 7-10 |
//! | [`uhse`] | item centres in the place of the history's items | 4.4 |
//! | [`audience`] | user centres in the place of an item's consumers | 4.5 |
//! | [`assignments`] | whose centre is which: what the two look up | 4.4, 4.5 |
//! | [`enhancement`] | the generalization layer, and how all of it enters the ranker | 4.2 |
//! | [`contrastive`], [`transfer`] | PLE with CL, PLE with TL: our adaptations | 5.2 |
//! | [`table`] | row-sparse tables: embeddings, personal vectors, memories of behaviours | 4.1 |
//! | [`batch`] | ids and features on the device | |
//! | [`graph`] | on and off the autodiff graph | |
//! | [`network`] | the dense parameters of a variant | |
//! | [`ranker`] | all of it together, and who receives whose gradient | Eq. 15 |

pub mod assignments;
pub mod audience;
pub mod auxiliary;
pub mod batch;
pub mod contrastive;
pub mod dense;
pub mod enhancement;
pub mod ghca;
pub mod graph;
pub mod network;
pub mod parts;
pub mod ple;
pub mod ranker;
pub mod table;
pub mod transfer;
pub mod uhse;
pub mod uie;
pub mod upbe;
