//! The model, one file a part, each equation of the paper in the file of its name:
//!
//! | file | part | paper |
//! | --- | --- | --- |
//! | [`ple`] | the ranker: experts, gates, towers | 4.1, reference 18 |
//! | [`auxiliary`] | user tower and item tower | 4.2, Eq. 1 |
//! | [`ghca`] | centres, search, mean step, re-seeding | 4.2, Eq. 2-5 |
//! | [`uie`] | Eq. 6, the gate with the personal vector | 4.2, Eq. 6 |
//! | [`table`] | embeddings and personal vectors, row-sparse | 4.1 |
//! | [`ranker`] | all of it together, and who receives whose gradient | Eq. 15 |

pub mod auxiliary;
pub mod dense;
pub mod ghca;
pub mod ple;
pub mod ranker;
pub mod table;
pub mod uie;
