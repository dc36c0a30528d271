//! What the paper reports (arXiv 2405.13238), to stand beside other figures: other data, so only the
//! shape compares. What it reports of a single model stands in the model's row of the registry ([`duia::variants`]).

/// Table 2, industrial data: low-active users' profile features and behaviours over high-active users'.
pub const TABLE_2: [f64; 2] = [0.54, 0.41];

/// A row of Table 7 or 8, industrial data: the setting's value, AUC of low-active and of high-active users.
pub type Row = (u64, f64, f64);

/// Table 7, UIE by level-1 user centres.
pub const TABLE_7_UIE: [Row; 5] =
    [(128, 0.7859, 0.8033), (256, 0.7875, 0.8041), (512, 0.7886, 0.8047), (1_024, 0.7890, 0.8049), (2_048, 0.7893, 0.8050)];

/// Table 7, UHSE alone by level-1 item centres.
pub const TABLE_7_UHSE: [Row; 5] =
    [(512, 0.7872, 0.8055), (1_024, 0.7881, 0.8063), (2_048, 0.7889, 0.8071), (4_096, 0.7891, 0.8076), (8_192, 0.7893, 0.8078)];

/// Table 8, DUIA by the width of all memories.
pub const TABLE_8: [Row; 5] =
    [(24, 0.7948, 0.8109), (48, 0.7956, 0.8116), (64, 0.7961, 0.8119), (128, 0.7963, 0.8120), (256, 0.7963, 0.8121)];

/// Table 9, industrial data: hit rate of UIE's level-1 centres by their number.
pub const TABLE_9: [(u64, f64); 5] = [(128, 0.93), (256, 0.85), (512, 0.79), (1_024, 0.73), (2_048, 0.68)];
