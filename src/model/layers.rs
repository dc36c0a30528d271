//! What components are made of.
//!
//! | file | what | paper |
//! | --- | --- | --- |
//! | [`ple`] | the ranker's body, which all components feed: experts, gates, towers | 4.1, reference 18 |
//! | [`ghca`] | two levels of centres: search, step, seeding | 4.2 and 4.4, Eq. 2-5, 7, 8, 11-14 |
//! | [`enhancement`] | the generalization layer, and the form in which vectors enter the ranker | 4.2 |
//! | [`attention`] | target attention over a window of behaviours or of their centres | 4.1, 4.4 |
//! | [`assignments`] | whose centre is which: what UHSE and consumers look up | 4.4, 4.5 |
//! | [`mixture`] | counts of what the members of each cluster take | |
//! | [`table`] | row-sparse tables: embeddings, personal vectors, memories of behaviours | 4.1 |
//! | [`dense`], [`weights`] | perceptrons in stacks; their optimizer and their names | |
//! | [`graph`] | on and off the autodiff graph | |

pub mod assignments;
pub mod attention;
pub mod dense;
pub mod enhancement;
pub mod ghca;
pub mod graph;
pub mod mixture;
pub mod ple;
pub mod table;
pub mod weights;
