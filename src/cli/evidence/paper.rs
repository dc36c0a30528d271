//! What the paper reports (arXiv 2405.13238), to stand beside other figures: other data, so only the shape compares.

use duia::config::Variant;

/// Table 2, industrial data: low-active users' profile features and behaviours over high-active users'.
pub const TABLE_2: [f64; 2] = [0.54, 0.41];

/// Table 4, Taobao: AUC of all users.
pub fn table_4(variant: Variant) -> Option<f64> {
    Some(match variant {
        Variant::Ple => 0.8836,
        Variant::Uie => 0.8940,
        Variant::Upbe => 0.8968,
        Variant::Duia => 0.9003,
        Variant::DuiaItems => 0.9041,
        _ => return None,
    })
}

/// Table 5, industrial data: AUC of low-active and of high-active users. PLE+CL and PLE+TL leave high-active users as
/// they are.
pub fn table_5(variant: Variant) -> Option<(f64, Option<f64>)> {
    Some(match variant {
        Variant::Ple => (0.7842, Some(0.8022)),
        Variant::Contrastive => (0.7846, None),
        Variant::Transfer => (0.7849, None),
        Variant::Uie => (0.7886, Some(0.8047)),
        Variant::Upbe => (0.7918, Some(0.8073)),
        Variant::Duia => (0.7961, Some(0.8119)),
        Variant::DuiaItems => (0.8014, Some(0.8153)),
        _ => return None,
    })
}

/// Table 6, an online A/B experiment with real users: per cent of change from PLE in UVC, UDT, UCC1, UCC2 and UCT, of
/// low-active and of high-active users. PLE+CL and PLE+TL leave high-active users as they are.
pub fn table_6(variant: Variant) -> Option<([f64; 5], Option<[f64; 5]>)> {
    Some(match variant {
        Variant::Contrastive => ([0.51, 0.39, 0.07, 0.68, 0.79], None),
        Variant::Transfer => ([0.80, 0.43, 0.13, 0.92, 0.86], None),
        Variant::Uie => ([3.49, 2.01, 1.15, 1.97, 2.13], Some([2.19, 1.46, 0.64, 1.42, 1.83])),
        Variant::Upbe => ([6.03, 2.94, 3.23, 3.25, 3.96], Some([3.26, 2.29, 1.25, 2.13, 2.97])),
        Variant::Duia => ([8.12, 4.05, 3.96, 4.60, 5.23], Some([4.33, 3.01, 1.71, 3.29, 3.74])),
        Variant::DuiaItems => ([9.68, 5.74, 3.98, 4.64, 5.42], Some([5.60, 3.88, 1.76, 3.38, 4.02])),
        _ => return None,
    })
}

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
